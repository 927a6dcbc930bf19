import type { OperatorCompiler, OperatorTable } from '../scope';
import { ACCUMULATOR_OPERATORS } from './accumulating';
import { ARITHMETIC } from './arithmetic';
import { ARRAY_LOOPS } from './array-loops';
import { ARRAY_PARTS } from './array-parts';
import { BOOLEAN } from './boolean';
import { COMPARISON } from './comparison';
import { CONDITIONAL } from './conditional';
import { CONVERT } from './convert';
import { DATE_ARITHMETIC } from './date-arithmetic';
import { DATE_BUILD } from './date-build';
import { DATE_FIELDS } from './date-fields';
import { DATE_TEXT } from './date-text';
import { FUNCTIONS } from './functions';
import { OBJECTS } from './objects';
import { REGEX } from './regex';
import { ROUNDING } from './rounding';
import { SETS } from './sets';
import { STRINGS } from './strings';
import { SUBSTRINGS } from './substrings';
import { TYPES } from './types';

const TABLES: readonly OperatorTable[] = [
  ACCUMULATOR_OPERATORS,
  ARITHMETIC,
  ARRAY_LOOPS,
  ARRAY_PARTS,
  BOOLEAN,
  COMPARISON,
  CONDITIONAL,
  CONVERT,
  DATE_ARITHMETIC,
  DATE_BUILD,
  DATE_FIELDS,
  DATE_TEXT,
  FUNCTIONS,
  OBJECTS,
  REGEX,
  ROUNDING,
  SETS,
  STRINGS,
  SUBSTRINGS,
  TYPES,
];

/** All expression operators by name (https://www.mongodb.com/docs/manual/reference/operator/aggregation/). */
export const OPERATORS: ReadonlyMap<string, OperatorCompiler> = new Map(
  TABLES.flatMap((table) => Object.entries(table)),
);
