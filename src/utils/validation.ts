import type { z } from 'zod';
import { AppError } from './errors';
import { messageOfIssue } from './issue-messages';

/** The longest JSON body, in bytes. A message of 8,000 characters needs at most 48 kB when all are escaped. */
export const MAX_BODY_BYTES = 128 * 1024;

/** One thing that is wrong with an input. */
export interface ValidationIssue {
  /** Where: field names and array indexes joined by dots, empty for the input as a whole. */
  path: string;
  message: string;
}

/** Where an input comes from, in the words of its sender. */
export type InputPlace = 'path' | 'query' | 'headers' | 'body' | 'payload';

/** How many issues an error lists, and how much of the path to each: a path may have keys that the caller made up. */
const MAX_ISSUES = 20;
const MAX_PATH = 200;

/**
 * Parses an input by its schema.
 * @param place names the input in the message of an issue that is about the whole of it.
 * @throws AppError validation_failed, with a list of ValidationIssue as details.
 */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  place: InputPlace = 'body',
): z.output<Schema> {
  const result = schema.safeParse(input, { error: messageOfIssue });
  if (result.success) return result.data;
  // A number that is far too great fails two checks for the same reason.
  const distinct = new Map<string, ValidationIssue>();
  for (const { path: keys, message } of result.error.issues.slice(0, MAX_ISSUES)) {
    const path = keys.map(String).join('.').slice(0, MAX_PATH);
    distinct.set(`${path} ${message}`, { path, message });
  }
  const details = [...distinct.values()];
  const [first] = details;
  throw new AppError('validation_failed', `${first?.path || place}: ${first?.message}`, details);
}
