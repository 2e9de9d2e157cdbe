// Checksums of texts: action `hash.crc32`, payload `"123456789"`, reply `"cbf43926"`. The example of an extension in C.
//
// Written against the header that `bindings-c` makes of wit/. What `handle` returns is freed by the bindings, what it gets is freed
// here.

#include "ext_crc.h"

#include <stdlib.h>
#include <string.h>

#define ACTION "hash.crc32"

// The polynomial of zip, gzip and PNG, lowest bit first.
#define POLYNOMIAL 0xedb88320u

static uint32_t crc32(const uint8_t *bytes, size_t count) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return ~crc;
}

static uint32_t hex_digits(const uint8_t *digits) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t digit = digits[i];
        value = value << 4 | (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return value;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t scalar) {
    if (scalar < 0x80) {
        *out++ = scalar;
        return out;
    }
    if (scalar < 0x800) {
        *out++ = 0xc0 | scalar >> 6;
    } else {
        if (scalar < 0x10000) {
            *out++ = 0xe0 | scalar >> 12;
        } else {
            *out++ = 0xf0 | scalar >> 18;
            *out++ = 0x80 | (scalar >> 12 & 0x3f);
        }
        *out++ = 0x80 | (scalar >> 6 & 0x3f);
    }
    *out++ = 0x80 | (scalar & 0x3f);
    return out;
}

static uint8_t unescaped(uint8_t letter) {
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

// Replaces a JSON string by its text, in place: an escape is never shorter than what it stands for. The service has checked that the
// payload is strict JSON, so the escapes are whole and surrogates come in pairs.
static size_t unquote(uint8_t *json, size_t length) {
    const uint8_t *in = json + 1, *end = json + length - 1;
    uint8_t *out = json;
    while (in < end) {
        if (*in != '\\') {
            *out++ = *in++;
            continue;
        }
        if (in[1] != 'u') {
            *out++ = unescaped(in[1]);
            in += 2;
            continue;
        }
        uint32_t scalar = hex_digits(in + 2);
        in += 6;
        if (scalar >= 0xd800 && scalar < 0xdc00) {
            scalar = 0x10000 + ((scalar - 0xd800) << 10) + (hex_digits(in + 2) - 0xdc00);
            in += 6;
        }
        out = put_utf8(out, scalar);
    }
    return out - json;
}

static bool is(const ext_crc_string_t *text, const char *other) {
    return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// The same message would fail again, so there is no use in another attempt.
static void refuse(exports_postroom_extension_handler_failure_t *failure, const char *code, const char *message) {
    ext_crc_string_dup(&failure->code, code);
    ext_crc_string_dup(&failure->message, message);
    failure->details.is_some = false;
    failure->retry = POSTROOM_EXTENSION_TYPES_RETRY_FINAL;
}

// True where there is a reply, false where there is a failure.
static bool answer(const exports_postroom_extension_handler_message_t *message, ext_crc_string_t *reply,
                   exports_postroom_extension_handler_failure_t *failure) {
    if (!is(&message->action, ACTION)) {
        refuse(failure, "unknown-action", "ext-crc knows one action, `" ACTION "`");
        return false;
    }
    uint8_t *payload = message->payload.ptr;
    if (payload[0] != '"') {
        refuse(failure, "wrong-payload", "the payload must be a string");
        return false;
    }
    uint32_t crc = crc32(payload, unquote(payload, message->payload.len));
    char text[] = "\"00000000\"";
    for (int i = 8; i > 0; i--, crc >>= 4)
        text[i] = "0123456789abcdef"[crc & 0xf];
    ext_crc_string_dup(reply, text);
    return true;
}

bool exports_postroom_extension_handler_handle(exports_postroom_extension_handler_message_t *message,
                                               exports_postroom_extension_handler_delivery_t *delivery,
                                               ext_crc_string_t *reply,
                                               exports_postroom_extension_handler_failure_t *failure) {
    bool answered = answer(message, reply, failure);
    exports_postroom_extension_handler_message_free(message);
    exports_postroom_extension_handler_delivery_free(delivery);
    return answered;
}

static void list_of_one(ext_crc_list_string_t *list, const char *text) {
    list->ptr = malloc(sizeof *list->ptr);
    if (!list->ptr)
        abort();
    list->len = 1;
    ext_crc_string_dup(list->ptr, text);
}

void exports_postroom_extension_describe_describe(exports_postroom_extension_describe_about_t *about) {
    ext_crc_string_dup(&about->version, "1.0.0");
    ext_crc_string_dup(&about->description, "Checksums of texts");
    list_of_one(&about->actions, ACTION);
    list_of_one(&about->capabilities, "hash");
}

uint32_t exports_postroom_examples_ext_crc_lib_crc32(ext_crc_list_u8_t *bytes) {
    uint32_t crc = crc32(bytes->ptr, bytes->len);
    ext_crc_list_u8_free(bytes);
    return crc;
}
