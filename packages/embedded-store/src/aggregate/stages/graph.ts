import { Long } from 'bson';
import { integral } from '../../bson/numbers';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { parsePath, readPath } from '../field-path';
import { keepMetadata } from '../metadata';
import {
  type Access,
  type PipelineContext,
  type Stage,
  type StageTable,
  specDocument,
  stageExpression,
} from '../stage';
import { valueKey } from '../value-key';
import { setPath } from './shape';

interface GraphSpec {
  from: string;
  as: string[];
  start: Value;
  connectFrom: string[];
  connectTo: string;
  depthField: string[] | undefined;
  maxDepth: number;
  restrict: Document | undefined;
}

const GRAPH_STRINGS = ['from', 'as', 'connectFromField', 'connectToField', 'depthField'];

function readGraph(spec: Value): GraphSpec {
  const given = specDocument(
    spec,
    40327,
    `the $graphLookup stage specification must be an object, but found ${typeOf(spec)}`,
  );
  const strings: Record<string, string> = {};
  let maxDepth = Number.POSITIVE_INFINITY;
  for (const [key, value] of given) {
    if (GRAPH_STRINGS.includes(key)) {
      if (typeof value !== 'string') {
        throw new StoreError(40103, `expected string as argument for ${key}, found: ${typeOf(value)}`);
      }
      strings[key] = value;
    } else if (key === 'maxDepth') {
      maxDepth = readDepth(value);
    } else if (key === 'restrictSearchWithMatch') {
      specDocument(value, 40185, `restrictSearchWithMatch must be an object, found ${typeOf(value)}`);
    } else if (key !== 'startWith') {
      throw new StoreError(40104, `Unknown argument to $graphLookup: ${key}`);
    }
  }
  const { from, as, connectFromField, connectToField, depthField } = strings;
  const start = given.get('startWith');
  if (
    from === undefined ||
    as === undefined ||
    start === undefined ||
    connectFromField === undefined ||
    connectToField === undefined
  ) {
    throw new StoreError(
      40105,
      "$graphLookup requires 'from', 'as', 'startWith', 'connectFromField', and 'connectToField' to be specified.",
    );
  }
  parsePath(connectToField);
  return {
    from,
    as: parsePath(as),
    start,
    connectFrom: parsePath(connectFromField),
    connectTo: connectToField,
    depthField: depthField === undefined ? undefined : parsePath(depthField),
    maxDepth,
    restrict: given.get('restrictSearchWithMatch') as Document | undefined,
  };
}

function readDepth(value: Value): number {
  const type = typeOf(value);
  if (!['int', 'long', 'double', 'decimal'].includes(type)) {
    throw new StoreError(40100, `maxDepth must be numeric, found type: ${type}`);
  }
  const depth = integral(value);
  if (depth !== undefined && depth < 0n)
    throw new StoreError(40101, 'maxDepth requires a nonnegative argument');
  if (depth === undefined) throw new StoreError(40102, 'maxDepth could not be represented as a long long');
  return Number(depth);
}

function graphLookup(spec: Value, context: PipelineContext, name: string): Stage {
  const graph = readGraph(spec);
  const startWith = stageExpression(graph.start, context);
  const restricted = graph.restrict;
  // Finds errors in the restriction even if nothing is searched.
  if (restricted !== undefined) context.nested([new Map([['$match', restricted]])], 'lookup');
  return {
    name,
    *run(source, access) {
      for (const document of source) {
        if (document === undefined) {
          yield undefined;
          continue;
        }
        const found: Document[] = [];
        for (const step of search(graph, startWith(document), context, access)) {
          if (step === undefined) yield undefined;
          else found.push(step);
        }
        yield keepMetadata(document, setPath(document, graph.as, found));
      }
    },
  };
}

/** Breadth first from the starting values; each document is visited once, at its least depth. */
function* search(
  graph: GraphSpec,
  start: Value | undefined,
  context: PipelineContext,
  access: Access,
): Generator<Document | undefined> {
  const visited = new Set<string>();
  const seen = new Set<string>();
  let frontier = fresh(Array.isArray(start) ? start : [start ?? null], seen);
  for (let depth = 0; depth <= graph.maxDepth && frontier.length > 0; depth++) {
    const next: Value[] = [];
    const wanted: Document = new Map([[graph.connectTo, new Map([['$in', frontier]])]]);
    const filter: Document =
      graph.restrict === undefined ? wanted : new Map([['$and', [wanted, graph.restrict]]]);
    const options = { collation: context.collation, variables: context.variables };
    for (const document of access.find(graph.from, filter, options)) {
      if (document === undefined) {
        yield undefined;
        continue;
      }
      const id = valueKey(document.get('_id'));
      if (visited.has(id)) continue;
      visited.add(id);
      yield graph.depthField ? setPath(document, graph.depthField, Long.fromNumber(depth)) : document;
      const onward = readPath(document, graph.connectFrom);
      next.push(...(Array.isArray(onward) ? onward : [onward ?? null]));
    }
    frontier = fresh(next, seen);
  }
}

/** The values that were not searched for yet. */
function fresh(values: readonly Value[], seen: Set<string>): Value[] {
  return values.filter((value) => {
    const key = valueKey(value);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** $graphLookup: follows references from document to document. */
export const GRAPH_STAGES: StageTable = { $graphLookup: graphLookup };
