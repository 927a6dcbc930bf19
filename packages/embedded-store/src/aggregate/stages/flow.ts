import { isNumber, toNumber } from '../../bson/numbers';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { compileFilter } from '../../query/matcher';
import { compileSort } from '../../query/sort';
import { typeOf } from '../arguments';
import { MemoryMeter } from '../memory';
import { textScoreOf } from '../metadata';
import { type Stage, type StageTable, specDocument } from '../stage';

/** The count of $limit or $skip. */
export function stageCount(spec: Value, name: '$limit' | '$skip'): number {
  if (!isNumber(spec)) {
    throw new StoreError(
      name === '$limit' ? 15957 : 15972,
      `the ${name.slice(1)} must be specified as a number`,
    );
  }
  const number = Math.trunc(toNumber(spec));
  if (name === '$limit' && !(number > 0)) throw new StoreError(15958, 'the limit must be positive');
  if (name === '$skip' && !(number >= 0)) throw new StoreError(15956, 'skip must be non-negative');
  return number;
}

function limit(spec: Value): Stage {
  const most = stageCount(spec, '$limit');
  return {
    name: '$limit',
    *run(source) {
      let count = 0;
      for (const document of source) {
        yield document;
        if (document !== undefined && ++count >= most) return;
      }
    },
  };
}

function skip(spec: Value): Stage {
  const first = stageCount(spec, '$skip');
  return {
    name: '$skip',
    *run(source) {
      let count = 0;
      for (const document of source) {
        if (document === undefined) yield undefined;
        else if (count >= first) yield document;
        else count++;
      }
    },
  };
}

/** Checks the specification of $sort. */
export function sortSpec(spec: Value): Document {
  const keys = specDocument(
    spec,
    15973,
    `the $sort key specification must be an object, not ${typeOf(spec)}`,
  );
  if (keys.size === 0) throw new StoreError(15976, '$sort stage must have at least one sort key');
  for (const value of keys.values()) {
    if (value instanceof Map) {
      checkMeta(value);
      continue;
    }
    if (!isNumber(value)) {
      throw new StoreError(
        15974,
        `$sort key ordering must be specified using a number or {$meta: 'textScore'}`,
      );
    }
    if (Math.abs(toNumber(value)) !== 1) {
      throw new StoreError(15975, '$sort key ordering must be 1 (for ascending) or -1 (for descending)');
    }
  }
  return keys;
}

function checkMeta(value: Document): void {
  const meta = value.get('$meta');
  if (value.size !== 1 || meta === undefined) {
    throw new StoreError(17312, '$meta is the only expression supported by $sort right now');
  }
  if (typeof meta !== 'string') throw new StoreError(17307, '$meta only supports string arguments');
  if (meta !== 'textScore') throw new StoreError(17308, `Unsupported argument to $meta: ${meta}`);
}

/** $match, $sort, $limit, $skip. */
export const FLOW_STAGES: StageTable = {
  $match(spec, context, name) {
    const filter = specDocument(spec, 15959, 'the match filter must be an expression in an object');
    const compiled = compileFilter(filter, {
      collator: context.collator,
      variables: context.variables,
    });
    return {
      name,
      text: compiled.text !== undefined,
      *run(source) {
        for (const document of source) {
          if (document === undefined || compiled.matches(document)) yield document;
        }
      },
    };
  },
  $sort(spec, context, name) {
    const sort = compileSort(sortSpec(spec), { collator: context.collator });
    return {
      name,
      *run(source) {
        const keyed: { document: Document; key: ReturnType<typeof sort.key> }[] = [];
        const memory = new MemoryMeter(name, context.allowDiskUse);
        for (const document of source) {
          if (document === undefined) {
            yield undefined;
            continue;
          }
          memory.keep(document);
          keyed.push({ document, key: sort.key(document, { textScore: textScoreOf(document) }) });
        }
        keyed.sort((a, b) => sort.compareKeys(a.key, b.key));
        for (const { document } of keyed) yield document;
      },
    };
  },
  $limit: limit,
  $skip: skip,
};
