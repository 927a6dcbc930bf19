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
 * A logger of JSON lines on standard output. Secrets are cut out by field name at the first three levels, in
 * case a whole object is logged; code should not log them in the first place.
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

/** How much waits for a standard output that takes nothing, in bytes; lines beyond it are lost. */
const MAX_WAITING = 1024 * 1024;

/** By default a full disk below the log would end or stop the process: pino throws what it cannot write. */
function standardOutput() {
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_WAITING });
  output.on('error', () => undefined);
  return output;
}
