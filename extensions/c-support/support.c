// What a guest in C needs of a C library, and no more: it is freestanding, so it imports nothing from WASI.
//
// Memory is handed out in blocks of powers of two, each with its size before it. A freed block goes on the list of its size and is
// taken from there first. Nothing is ever joined or given back: an instance lives for one message, or for a bounded number of them.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 65536u
#define SMALLEST 4 // 16 bytes, with the header
#define LARGEST 31

// As long as the strictest alignment that the canonical ABI asks for.
typedef union header {
    uint32_t order;
    union header *next;
    uint64_t align;
} header;

extern unsigned char __heap_base;

static header *freed[LARGEST + 1];
static uintptr_t top;

_Noreturn void abort(void) {
    __builtin_trap();
}

static header *fresh(uint32_t order) {
    if (top == 0)
        top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    uintptr_t size = (uintptr_t)1 << order;
    uintptr_t end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (size > UINTPTR_MAX - top)
        return NULL;
    if (top + size > end) {
        uintptr_t pages = (top + size - end + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1)
            return NULL;
    }
    header *block = (header *)top;
    top += size;
    return block;
}

void *malloc(size_t size) {
    uint32_t order = SMALLEST;
    while (order <= LARGEST && ((size_t)1 << order) - sizeof(header) < size)
        order++;
    if (order > LARGEST)
        return NULL;
    header *block = freed[order];
    if (block)
        freed[order] = block->next;
    else if (!(block = fresh(order)))
        return NULL;
    block->order = order;
    return block + 1;
}

void free(void *memory) {
    if (!memory)
        return;
    header *block = (header *)memory - 1;
    uint32_t order = block->order;
    block->next = freed[order];
    freed[order] = block;
}

void *realloc(void *old, size_t size) {
    if (!old)
        return malloc(size);
    size_t room = ((size_t)1 << ((header *)old - 1)->order) - sizeof(header);
    if (size <= room)
        return old;
    void *new = malloc(size);
    if (!new)
        return NULL;
    memcpy(new, old, room);
    free(old);
    return new;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    unsigned char *out = to;
    const unsigned char *in = from;
    while (count--)
        *out++ = *in++;
    return to;
}

void *memset(void *to, int byte, size_t count) {
    unsigned char *out = to;
    while (count--)
        *out++ = (unsigned char)byte;
    return to;
}

int memcmp(const void *one, const void *other, size_t count) {
    const unsigned char *a = one, *b = other;
    for (; count--; a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}
