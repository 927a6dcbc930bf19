/** Settings that are not valid. The message is one line about the first of them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Says what is wrong with a setting. */
export interface ConfigProblem {
  /** Undefined if it is about several settings, or about none of them. */
  setting?: string;
  /** A sentence that names the setting. */
  message: string;
}
