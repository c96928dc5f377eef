/** Twilio's codes that this stand-in answers with, and the HTTP status that goes with each. */
const ERRORS = {
  authenticate: { code: 20003, status: 401 },
  not_found: { code: 20404, status: 404 },
  method_not_allowed: { code: 20004, status: 405 },
  invalid_parameter: { code: 60200, status: 400 },
  max_checks: { code: 60202, status: 429 },
  max_sends: { code: 60203, status: 429 },
  landline: { code: 60205, status: 403 },
} as const

/** An answer in Twilio's shape of an error. */
export function twilioError(kind: keyof typeof ERRORS, message: string): Response {
  const { code, status } = ERRORS[kind]
  return Response.json(
    { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status },
    { status },
  )
}
