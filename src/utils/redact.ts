/** What replaces a secret. */
export const REDACTED = '[redacted]';

/**
 * What secrets look like, wherever they are: JSON web tokens (access tokens, tickets of calls); 32 random or signed bytes
 * in base64url (refresh tokens, tickets of files, tokens in mailed links); the credentials of an Authorization header; the
 * user and password of a URL; secret parameters of a query.
 */
const SECRETS: [pattern: RegExp, replacement: string][] = [
  [/\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g, REDACTED],
  [/(?<![\w-])[\w-]{43}(?![\w-])/g, REDACTED],
  [/\b(Bearer|Basic) +[\w.+/=~-]+/gi, `$1 ${REDACTED}`],
  [/(:\/\/)[^\s/"@:]*:[^\s/"@]*@/g, `$1${REDACTED}@`],
  [/([?&](?:token|ticket|secret|password|code|key)=)[^&\s"\\]+/gi, `$1${REDACTED}`],
];

/** Replaces secrets in a text by what they look like. It does not find passwords: whoever logs must leave those out. */
export function redactText(text: string): string {
  return SECRETS.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
}

/** The longest message and stack of an error that is kept, in characters. */
const MAX_MESSAGE = 1000;
const MAX_STACK = 4000;
/** How many causes of an error are kept. */
const MAX_CAUSES = 3;

/** An error as it may be logged. */
export interface SafeError {
  type: string;
  message: string;
  stack?: string;
  /** That of Node.js or of MongoDB. */
  code?: string | number;
  cause?: SafeError;
}

/**
 * Reduces an error to what may be logged. Errors of libraries have further fields, such as the documents that the database
 * has refused, with the texts of messages in them.
 */
export function safeError(error: unknown, depth = 0): SafeError {
  if (!(error instanceof Error)) return { type: typeof error, message: '' };
  const { name, message, stack = '', cause } = error;
  const { code } = error as { code?: unknown };
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line));
  return {
    type: name,
    message: safeMessage(message),
    ...(frames.length > 0 && { stack: redactText(frames.join('\n').slice(0, MAX_STACK)) }),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: safeError(cause, depth + 1) }),
  };
}

/** Leaves out the values that MongoDB quotes from documents, and what JSON.parse quotes from a body. */
function safeMessage(message: string): string {
  const text = message
    .slice(0, MAX_MESSAGE)
    .replace(/(dup key: )\{.*/s, '$1{…}')
    .replace(/("(?:[^"\\]|\\.)*"?(?:\.\.\.)? is not valid JSON).*/s, '… is not valid JSON');
  return redactText(text);
}

/**
 * Returns the path of a URL without its query, and without segments that may be secret or identify something other than by
 * an id: codes of invites, file names of avatars, tokens at the wrong place.
 */
export function safePath(url: string): string {
  const [path = ''] = url.split('?', 1);
  return path
    .slice(0, 500)
    .split('/')
    .map((part) => (/^(?:[0-9a-f]{24}|[a-z][a-z.-]{0,39}|)$/.test(part) ? part : '…'))
    .join('/');
}
