import { Int32 } from 'bson';
import { compareValues } from '../../bson/compare';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Expression } from '../expression';
import { compileGroupField } from '../group-accumulators';
import { type Group, type GroupFields, addToGroup, groupDocument, newGroup } from '../grouping';
import { MemoryMeter } from '../memory';
import { type PipelineContext, type Stage, type StageTable, specDocument, stageExpression } from '../stage';
import { valueKey } from '../value-key';

/** Groups documents by the value of an expression; a missing value groups with null. */
function groupStage(name: string, id: Expression, fields: GroupFields, context: PipelineContext): Stage {
  return {
    name,
    exhaustive: true,
    *run(source) {
      const groups = new Map<string, Group>();
      const memory = new MemoryMeter(name, context.allowDiskUse);
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        const value = id(document) ?? null;
        const key = valueKey(value, context.collator);
        let group = groups.get(key);
        if (group === undefined) {
          group = newGroup(value, fields, memory);
          groups.set(key, group);
        }
        addToGroup(group, document);
      }
      for (const group of groups.values()) yield groupDocument(group, fields);
    },
  };
}

/** Checks the name of an output field of $group. */
function checkGroupFieldName(field: string): void {
  if (field.includes('.')) {
    throw new StoreError(40235, `The field name '${field}' cannot contain '.'`);
  }
  if (field.startsWith('$')) {
    throw new StoreError(40236, `The field name '${field}' cannot be an operator name`);
  }
}

function sortByCount(spec: Value, context: PipelineContext, name: string): Stage {
  if (spec instanceof Map) {
    const [first] = spec.keys();
    if (first === undefined || !first.startsWith('$')) {
      throw new StoreError(
        40147,
        'the sortByCount field must be defined as a $-prefixed path or an expression',
      );
    }
  } else if (typeof spec !== 'string') {
    throw new StoreError(40149, 'the sortByCount field must be specified as a string or as an object');
  } else if (!spec.startsWith('$')) {
    throw new StoreError(
      40148,
      'the sortByCount field must be defined as a $-prefixed path or an expression',
    );
  }
  const fields: GroupFields = [
    ['count', compileGroupField('count', new Map([['$sum', new Int32(1)]]), context)],
  ];
  const group = groupStage(name, stageExpression(spec, context), fields, context);
  return {
    name,
    exhaustive: true,
    *run(source, access) {
      const counted: Document[] = [];
      for (const document of group.run(source, access)) {
        if (document === undefined) yield undefined;
        else counted.push(document);
      }
      yield* counted.sort((a, b) => compareValues(b.get('count'), a.get('count')));
    },
  };
}

/** $group and $sortByCount. */
export const GROUP_STAGES: StageTable = {
  $group(spec, context, name) {
    const given = specDocument(spec, 15947, "a group's fields must be specified in an object");
    let id: Expression | undefined;
    const fields: GroupFields = [];
    for (const [field, value] of given) {
      if (field === '_id') {
        id = stageExpression(value, context);
      } else {
        checkGroupFieldName(field);
        fields.push([field, compileGroupField(field, value, context)]);
      }
    }
    if (id === undefined) throw new StoreError(15955, 'a group specification must include an _id');
    return groupStage(name, id, fields, context);
  },
  $sortByCount: sortByCount,
};
