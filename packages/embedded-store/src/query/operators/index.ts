import { StoreError } from '../../errors';
import { ARITHMETIC_OPERATORS } from './arithmetic';
import { ARRAY_OPERATORS } from './array';
import { COMPARISON_OPERATORS } from './comparison';
import type { FieldOperator } from './context';
import { ELEMENT_OPERATORS } from './element';
import { MEMBERSHIP_OPERATORS } from './membership';
import { REGEX_OPERATORS } from './regex';

const GEO = [
  '$geoIntersects',
  '$geoWithin',
  '$within',
  '$near',
  '$nearSphere',
  '$geoNear',
  '$maxDistance',
  '$minDistance',
];

const refuseGeo: FieldOperator = () => {
  throw new StoreError('CommandNotSupported', 'geospatial queries are not supported');
};

/** All operators on a field, by name. */
export const FIELD_OPERATORS: ReadonlyMap<string, FieldOperator> = new Map(
  Object.entries({
    ...COMPARISON_OPERATORS,
    ...MEMBERSHIP_OPERATORS,
    ...ELEMENT_OPERATORS,
    ...ARRAY_OPERATORS,
    ...ARITHMETIC_OPERATORS,
    ...REGEX_OPERATORS,
    ...Object.fromEntries(GEO.map((name) => [name, refuseGeo])),
  }),
);
