/** A setting that is missing or wrong, in the words of whoever has to change it. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}
