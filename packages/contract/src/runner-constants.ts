// Kept apart from runner.ts, which loads zod: the runner is one bundled file without any library.

/** Version of the protocol between runner and server; the server speaks this one and the one before. */
export const RUNNER_PROTOCOL = 1

/** Port on which a runner takes requests from the router, when it is free. */
export const RUNNER_PORT = 7070

/** Header by which the router proves itself to a runner. */
export const ROUTER_CREDENTIAL_HEADER = 'x-agentctl-router'

/** How long a poll may be held open by the server. */
export const POLL_SECONDS = 25
