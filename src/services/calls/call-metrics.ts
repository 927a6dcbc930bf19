import type { Collections } from '../../db/collections';
import type { QualityReport } from '../../models/calls/call-quality.model';
import { CALL_STATES, type VideoCallDocument } from '../../models/video-call.model';
import { cachedFor } from '../../utils/cached-for';
import { METRICS } from '../kernel/metrics';
import type { Counter, Histogram, Telemetry } from '../kernel/telemetry';
import type { TicketOutcome } from './call-tickets';

/** How long the numbers of open calls are reported without counting them again. */
const COUNT_LIFETIME_MS = 5000;

/** Counts calls, their tickets and what clients report of their quality. */
export class CallMetrics {
  private readonly transitions: Counter<'state'>;
  private readonly tickets: Counter<'outcome'>;
  private readonly roundTrips: Histogram;
  private readonly losses: Histogram;

  constructor(
    telemetry: Telemetry,
    private readonly collections: Pick<Collections, 'videoCalls'>,
  ) {
    this.transitions = telemetry.counter(METRICS.callTransitions);
    this.tickets = telemetry.counter(METRICS.callTickets);
    this.roundTrips = telemetry.histogram(METRICS.callQuality);
    this.losses = telemetry.histogram(METRICS.callLoss);
    const counts = cachedFor(COUNT_LIFETIME_MS, () => this.countOpen());
    for (const state of CALL_STATES.filter((each) => each !== 'ended')) {
      telemetry.gauge(METRICS.openCalls).observe({ state }, async () => (await counts()).get(state) ?? 0);
    }
  }

  recordTransition(state: VideoCallDocument['state']): void {
    this.transitions.add({ state });
  }

  recordTicket(outcome: TicketOutcome): void {
    this.tickets.add({ outcome });
  }

  recordQuality(reports: readonly QualityReport[]): void {
    for (const { roundTripMs, packetLossPercent } of reports) {
      if (roundTripMs !== undefined) this.roundTrips.record({}, roundTripMs / 1000);
      if (packetLossPercent !== undefined) this.losses.record({}, packetLossPercent / 100);
    }
  }

  private async countOpen(): Promise<Map<string, number>> {
    const rows = await this.collections.videoCalls
      .aggregate<{
        _id: string;
        count: number;
      }>([{ $match: { open: true } }, { $group: { _id: '$state', count: { $sum: 1 } } }])
      .toArray();
    return new Map(rows.map(({ _id, count }) => [_id, count]));
  }
}
