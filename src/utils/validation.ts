import type { z } from 'zod';
import { AppError } from './errors';

/** The longest JSON body, in bytes. A message of 8,000 characters needs at most 48 kB when all are escaped. */
export const MAX_BODY_BYTES = 128 * 1024;

/** One thing that is wrong with an input. */
export interface ValidationIssue {
  /** Where: field names and array indexes joined by dots, empty for the input as a whole. */
  path: string;
  message: string;
}

/**
 * Parses an input by its schema.
 * @throws AppError validation_failed, with a list of ValidationIssue as details.
 */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const details: ValidationIssue[] = result.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
  const first = details[0];
  const where = first?.path ? `${first.path}: ` : '';
  throw new AppError('validation_failed', `${where}${first?.message ?? 'Invalid input.'}`, details);
}
