// Answers the action `{{name}}.hello` with a greeting.

export const handler = {
    handle({ action, payload }) {
        if (action !== "{{name}}.hello") {
            throw refused("unknown-action", `\`${action}\` is not an action of {{name}}`);
        }
        const { name } = JSON.parse(payload) ?? {};
        if (typeof name !== "string") {
            throw refused("wrong-payload", "the payload must have a `name`");
        }
        return JSON.stringify({ greeting: `Hello, ${name}!` });
    },
};

export const describe = {
    describe: () => ({
        version: "0.1.0",
        description: "Greets whoever the payload names",
        actions: ["{{name}}.hello"],
        capabilities: [],
    }),
};

// The same message would fail again, so there is no use in another attempt.
function refused(code, message) {
    return { code, message, details: null, retry: "final" };
}
