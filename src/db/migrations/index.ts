import { nameKeys } from './0001-name-keys';
import { firstRelease } from './0002-first-release';
import type { Migration } from './migration';

/** All migrations in the order of their numbers. One that has been released is never changed or removed. */
export const MIGRATIONS: readonly Migration[] = [nameKeys, firstRelease];
