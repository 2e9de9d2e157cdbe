;; {{name}}: an extension for postroom in WebAssembly text. It replies with the payload that it gets. No tool is needed:
;;
;;     postroom ext test {{name}}.wat cases
;;     postroom ext add {{name}}.wat
(component
  ;; One component inside of the other: what it exports becomes the interface `handler`.
  (component $handler
    (core module $code
      (memory (export "memory") 1)
      ;; The next free byte. An instance handles one message, so nothing is ever given back.
      (global $free (mut i32) (i32.const 2048))

      ;; How the message comes into the memory: called with the old place and size (always none here), the alignment and the new size.
      (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
        (local $place i32)
        (local.set $place
          (i32.and
            (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $free (i32.add (local.get $place) (local.get $size)))
        (block $enough
          (br_if $enough (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $enough
            (i32.ne
              (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))
              (i32.const -1)))
          unreachable)
        (local.get $place))

      ;; `handle`: the parameter is the place of all its parameters, the result the place of its result. The payload's place and length
      ;; stand 32 and 36 bytes behind the first; a result is 0 for `ok`, then, at 4 and 8, place and length of the text.
      (func (export "handle") (param $at i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (i32.load offset=32 (local.get $at)))
        (i32.store (i32.const 1032) (i32.load offset=36 (local.get $at)))
        (i32.const 1024)))

    (core instance $code (instantiate $code))

    ;; The types of wit/types.wit that `handle` speaks of. Each is exported, because a function can only use types that have names.
    (type $error-reply' (record (field "code" string) (field "message" string) (field "details" (option string))))
    (export $error-reply "error-reply" (type $error-reply'))
    (type $message' (record
      (field "id" string) (field "sender" string) (field "recipient" string) (field "action" string) (field "payload" string)
      (field "error" (option $error-reply)) (field "timestamp" s64) (field "in-reply-to" (option string))
      (field "correlation-id" (option string)) (field "expires-at" (option s64)) (field "others" (list (tuple string string)))))
    (export $message "message" (type $message'))
    (type $trust' (enum "signed" "unsigned"))
    (export $trust "trust" (type $trust'))
    (type $delivery' (record
      (field "accepted-at" s64) (field "attempt" u32) (field "hops" u32) (field "trust" $trust) (field "key-id" (option string))
      (field "deadline-ms" u32)))
    (export $delivery "delivery" (type $delivery'))
    (type $retry' (enum "later" "final"))
    (export $retry "retry" (type $retry'))
    (type $failure' (record
      (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
    (export $failure "failure" (type $failure'))

    (func $handle (param "message" $message) (param "delivery" $delivery) (result (result string (error $failure)))
      (canon lift (core func $code "handle") (memory (core memory $code "memory")) (realloc (core func $code "realloc"))))
    (export "handle" (func $handle)))
  (instance $handler (instantiate $handler))
  (export "postroom:extension/handler@1.0.0" (instance $handler)))
