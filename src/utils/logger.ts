import cluster from 'node:cluster';
import { levels, pino, type Logger } from 'pino';
import { REDACTED, redactText, safeError } from './redact';

export type { Logger };

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** An error that was logged. */
export interface LoggedError {
  error: unknown;
  /** What has failed: the message of the log line. */
  what: string;
  level: 'error' | 'fatal';
  /** The fields of the log line: the id of the request, the name of the event or of the job. */
  fields: Readonly<Record<string, unknown>>;
}

/**
 * The message of the line by which development shows a mail that it cannot send. The link in it is needed, so this line
 * is not redacted. Quotation marks within fields are escaped, so no other line can end like it.
 */
export const MAIL_SHOWN = 'mail (SMTP_URL is not set)';
const MAIL_END = `"msg":${JSON.stringify(MAIL_SHOWN)}}\n`;

const SECRET_NAMES = [
  'password',
  'newPassword',
  'currentPassword',
  'passwordHash',
  'token',
  'accessToken',
  'refreshToken',
  'ticket',
  'secret',
  'credential',
  'authorization',
  'cookie',
  'auth',
];

/**
 * Creates a logger that writes JSON lines to standard output. Secrets are redacted by field name at the first three
 * levels, in case a whole object is logged, and by their form anywhere in a line; code should not log them in the first
 * place. Of errors it writes what `safeError` leaves.
 * @param onError receives each error that is logged as an error, whatever the level. It must not throw.
 */
export function createLogger(level: LogLevel, onError?: (logged: LoggedError) => void): Logger {
  const threshold = levels.values[level] ?? Infinity;
  const options = {
    // Methods below its level do not call the hook.
    level: onError && threshold > ERROR_LEVEL ? 'error' : level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: (error: unknown) => safeError(error) },
    redact: {
      paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: REDACTED,
    },
    hooks: {
      streamWrite: (line: string) => (line.endsWith(MAIL_END) ? line : redactText(line)),
      ...(onError && {
        logMethod(this: Logger, parameters: unknown[], method: (...all: never[]) => void, number: number) {
          if (number >= ERROR_LEVEL) reportLogged(this, parameters, number, onError);
          if (number >= threshold) method.apply(this, parameters as never[]);
        },
      }),
    },
  };
  return pino(options, standardOutput());
}

const ERROR_LEVEL = levels.values['error']!;

/** Reports an error that is logged as `logger.error({ err, … }, 'what has failed')`. */
function reportLogged(
  logger: Logger,
  [fields, what]: unknown[],
  number: number,
  onError: (logged: LoggedError) => void,
): void {
  if (typeof fields !== 'object' || fields === null || !('err' in fields)) return;
  const { err: error, ...others } = fields;
  // The line about the answer of a failed request follows the line about its error.
  if ('res' in others) return;
  onError({
    error,
    what: typeof what === 'string' ? what : '',
    level: number > ERROR_LEVEL ? 'fatal' : 'error',
    fields: { ...logger.bindings(), ...others },
  });
}

/** How many bytes are buffered while standard output is blocked; further lines are lost. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/**
 * Ignores write errors: by default pino throws them, so that a full disk would end the process.
 *
 * PM2 replaces `process.stdout.write` in the workers of its cluster, and writes to the file of the app what passes through it.
 * The file descriptor leads to PM2's own log.
 */
function standardOutput() {
  if (cluster.isWorker) return process.stdout;
  const output = pino.destination({ dest: 1, sync: true, maxLength: MAX_BUFFERED_BYTES });
  output.on('error', () => undefined);
  return output;
}
