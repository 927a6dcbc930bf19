import { pino, type Logger } from 'pino';

export type { Logger };

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const SECRET_NAMES = [
  'password',
  'token',
  'accessToken',
  'refreshToken',
  'authorization',
  'cookie',
  'passwordHash',
];

/**
 * Creates a logger that writes JSON lines to standard output. Secrets are redacted by field name at the first three
 * levels, in case a whole object is logged; code should not log them in the first place.
 */
export function createLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '[redacted]',
    },
  };
  return pino(options, standardOutput());
}

/** How many bytes are buffered while standard output is blocked; further lines are lost. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** Ignores write errors: by default pino throws them, so that a full disk would end the process. */
function standardOutput() {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_BUFFERED_BYTES });
  output.on('error', () => undefined);
  return output;
}
