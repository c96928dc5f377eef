import { z } from 'zod'
import { defineEndpoints } from './endpoint.ts'

export const platformEndpoints = defineEndpoints({
  'GET /v1/health': {
    id: 'health',
    summary: 'Whether the API and its database answer',
    access: 'public',
    response: z.strictObject({ status: z.literal('ok'), version: z.string(), time: z.iso.datetime() }),
  },
  'GET /openapi.json': {
    id: 'showOpenApi',
    summary: 'This document',
    access: 'public',
    rawResponse: 'application/json',
  },
  'GET /docs': {
    id: 'showDocumentation',
    summary: 'This document, as a page',
    access: 'public',
    rawResponse: 'text/html',
  },
})
