// Adds two numbers with the library of another extension: action `math.add`, payload `{"a": 2, "b": 3}`, reply `5`.
//
// The other half of `ext-add`. What it offers, `lib.add`, is what `ext-add` imports. If it imported `ext-add` in turn, neither could be
// loaded before the other, and both would be refused; so it finds `ext-add` at run time, by its name.

import invoke from "postroom:extension/invoke@1.0.0";

const ACTION = "math.add";
const PEER = "ext-add";
const PEER_ADD = "postroom-examples:ext-add/lib#add";

export const lib = {
    add: (a, b) => a + b,
};

export const handler = {
    handle({ action, payload }) {
        if (action !== ACTION) {
            throw refused("unknown-action", `\`${action}\` is not an action of ext-js; it knows \`${ACTION}\``);
        }
        const { a, b } = JSON.parse(payload) ?? {};
        if (typeof a !== "number" || typeof b !== "number") {
            throw refused(
                "wrong-payload",
                'the payload must be an object with the numbers `a` and `b`, such as {"a":2,"b":3}',
            );
        }
        // A failure of the call is thrown as a `failure` of the contract, and passed on as it is.
        const sum = JSON.parse(invoke.call(PEER, PEER_ADD, JSON.stringify([a, b])));
        return JSON.stringify(sum);
    },
};

export const describe = {
    describe: () => ({
        version: "1.0.0",
        description: "Adds the numbers `a` and `b` of the payload with the library of ext-add",
        actions: [ACTION],
        capabilities: ["math"],
    }),
};

// The same message would fail again, so there is no use in another attempt.
function refused(code, message) {
    return { code, message, details: null, retry: "final" };
}
