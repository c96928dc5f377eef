process.on('exit', () =>
  require('node:fs').writeSync(2, `\npeak-kilobytes ${process.resourceUsage().maxRSS}\n`),
)
