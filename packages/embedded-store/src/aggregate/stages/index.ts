import type { StageCompiler, StageTable } from '../stage';
import { BUCKET_STAGES } from './bucket';
import { FACET_STAGES } from './facet';
import { FLOW_STAGES } from './flow';
import { GRAPH_STAGES } from './graph';
import { GROUP_STAGES } from './group';
import { JOIN_STAGES } from './join';
import { OUTPUT_STAGES } from './output';
import { SHAPE_STAGES } from './shape';
import { STATISTICS_STAGES } from './statistics';
import { UNION_STAGES } from './union';

const TABLES: readonly StageTable[] = [
  BUCKET_STAGES,
  FACET_STAGES,
  FLOW_STAGES,
  GRAPH_STAGES,
  GROUP_STAGES,
  JOIN_STAGES,
  OUTPUT_STAGES,
  SHAPE_STAGES,
  STATISTICS_STAGES,
  UNION_STAGES,
];

/** All aggregation stages by name. */
export const STAGES: ReadonlyMap<string, StageCompiler> = new Map(
  TABLES.flatMap((table) => Object.entries(table)),
);
