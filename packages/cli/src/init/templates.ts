export interface Template {
  files: Record<string, string>
  start: string
}

export const templateNames = ['node', 'python'] as const
export type TemplateName = (typeof templateNames)[number]

/** The smallest agents that do what the platform asks: listen on $PORT, answer a health check, stop on SIGTERM. */
export const templates: Record<TemplateName, Template> = {
  node: {
    start: 'node index.js',
    files: {
      'package.json': `${JSON.stringify({ private: true, type: 'module', scripts: { start: 'node index.js' } }, null, 2)}\n`,
      'index.js': `import { createServer } from 'node:http'

const server = createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\\n')
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ hello: 'world', path: request.url }) + '\\n')
})

server.listen(process.env.PORT, () => console.log(\`Listening on \${process.env.PORT}\`))
process.on('SIGTERM', () => server.close())
`,
    },
  },
  python: {
    start: 'python3 -u main.py',
    files: {
      'main.py': `import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        health = self.path == "/health"
        body = "ok\\n" if health else json.dumps({"hello": "world", "path": self.path}) + "\\n"
        self.send_response(200)
        self.send_header("content-type", "text/plain" if health else "application/json")
        self.end_headers()
        self.wfile.write(body.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
port = int(os.environ["PORT"])
print(f"Listening on {port}", flush=True)
ThreadingHTTPServer(("", port), Handler).serve_forever()
`,
    },
  },
}
