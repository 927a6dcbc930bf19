import { identical } from '../identical';
import type { Modifier } from './modifier';
import { REMOVED } from '../tree';

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/set/ */
export const set: Modifier = (_path, argument) => ({
  update: (value) => (identical(value, argument) ? value : argument),
  create: () => argument,
});

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/setOnInsert/ */
export const setOnInsert: Modifier = (path, argument, options) => ({
  ...set(path, argument, options),
  insertOnly: true,
});

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/unset/ */
export const unset: Modifier = () => ({ update: () => REMOVED, ignoresBlockedPath: () => true });
