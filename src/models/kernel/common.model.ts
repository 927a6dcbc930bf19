import { z } from 'zod';
import { faultOfName } from '../../utils/visible-name';

/** \p{Cc} matches control characters. A message may contain line breaks and tabs. */
const CONTROL_CHARACTERS = /\p{Cc}/u;
const CONTROL_BUT_WHITESPACE = /(?![\t\n\r])\p{Cc}/u;

/** A well-formed string. A lone surrogate would be stored as another character than the one sent. */
const wellFormed = z.string().refine((text) => text.isWellFormed(), 'must be well-formed Unicode');

/** One line of text, trimmed and in normal form C, so that texts that look the same are equal. */
export const singleLineText = (min: number, max: number) =>
  wellFormed
    .max(max)
    .refine((text) => !CONTROL_CHARACTERS.test(text), 'must not contain control characters')
    .transform((text) => text.normalize('NFC').trim())
    .pipe(z.string().min(min).max(max));

/** A single line that is a readable name, of a user or an object. */
export const visibleName = (max: number) =>
  singleLineText(1, max).superRefine((name, context) => {
    const fault = faultOfName(name);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  });

/** Text that may contain line breaks. It is stored as sent; blank text is refused. */
export const multilineText = (max: number) =>
  wellFormed
    .min(1)
    .max(max)
    .refine((text) => text.trim() !== '', 'must not be blank')
    .refine((text) => !CONTROL_BUT_WHITESPACE.test(text), 'must not contain control characters');

/** As `multilineText`, but it may be empty. */
export const messageText = (max: number) =>
  wellFormed
    .max(max)
    .refine((text) => text === '' || text.trim() !== '', 'must not be blank')
    .refine((text) => !CONTROL_BUT_WHITESPACE.test(text), 'must not contain control characters');

/** An id as clients see it: 24 hexadecimal digits. */
export const idSchema = z
  .string()
  .regex(/^[0-9a-fA-F]{24}$/, 'must be an id of 24 hexadecimal digits')
  .transform((id) => id.toLowerCase())
  .meta({ description: 'An id: 24 hexadecimal digits.', example: '6740f2a1c3b5d7e9f1a3b5c7' });

/** An id in an answer. */
export const idOut = z
  .string()
  .length(24)
  .meta({ description: 'An id: 24 hexadecimal digits.', example: '6740f2a1c3b5d7e9f1a3b5c7' });

/** A time in an answer: ISO 8601 in UTC with milliseconds. */
export const timestampOut = z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' });

/** A time in the future, as input. */
export const futureTime = z.iso
  .datetime()
  .refine((time) => new Date(time) > new Date(), 'must be in the future');

/**
 * A whole number in a query string: only digits. Number() would convert an empty string to 0, and an empty `before`
 * would mean the beginning of the history.
 */
export const wholeNumberText = (min: number, max: number) =>
  z.preprocess(
    (text) => (typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : text),
    // zod uses the message for the checks too, so it must state the whole requirement.
    z.number(`must be a whole number from ${min} to ${max}`).int().min(min).max(max),
  );

/** The page size in a query string. */
export const limitSchema = (defaultLimit: number, max: number) =>
  wholeNumberText(1, max).default(defaultLimit);

/** The maximum page size of a list. */
export const MAX_PAGE_SIZE = 200;

/** The query of a list that is paged by a cursor. */
export const pageQuery = z.strictObject({
  cursor: idSchema.optional().meta({ description: 'The `nextCursor` of the previous page.' }),
  limit: limitSchema(50, MAX_PAGE_SIZE),
});
export type PageQuery = z.output<typeof pageQuery>;

export const nextCursorOut = z
  .string()
  .nullable()
  .meta({ description: 'Pass it as `cursor` for the next page; null on the last page.' });
