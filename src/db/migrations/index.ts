import { nameKeys } from './0001-name-keys';
import type { Migration } from './migration';

/** All migrations in the order of their numbers. One that has been released is never changed or removed. */
export const MIGRATIONS: readonly Migration[] = [nameKeys];
