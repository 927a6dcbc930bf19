import { addToSet } from './add-to-set';
import { inc, mul } from './arithmetic';
import { bit } from './bit';
import { max, min } from './compare';
import { currentDate } from './current-date';
import type { Modifier } from './modifier';
import { pop } from './pop';
import { pull, pullAll } from './pull';
import { push } from './push';
import { set, setOnInsert, unset } from './set';

/** Every update operator except `$rename`, which has two paths (see rename.ts). */
export const MODIFIERS: ReadonlyMap<string, Modifier> = new Map<string, Modifier>([
  ['$addToSet', addToSet],
  ['$bit', bit],
  ['$currentDate', currentDate],
  ['$inc', inc],
  ['$max', max],
  ['$min', min],
  ['$mul', mul],
  ['$pop', pop],
  ['$pull', pull],
  ['$pullAll', pullAll],
  ['$push', push],
  ['$set', set],
  ['$setOnInsert', setOnInsert],
  ['$unset', unset],
]);
