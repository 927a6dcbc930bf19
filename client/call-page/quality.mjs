/**
 * Measures the connections to the other participants: what arrives over each of them since the last measurement.
 */
export class QualityMeter {
  /** The counters of the last measurement, by peer id. @type {Map<string, {at: number, bytes: number, lost: number, received: number}>} */
  #last = new Map();

  /**
   * Returns an entry of `call:report_quality` for each participant of whom there is an earlier measurement.
   * @param {{userId: string, peerId: string}[]} participants
   * @param {(peerId: string) => RTCPeerConnection | undefined} connectionTo
   */
  async measure(participants, connectionTo) {
    const reports = [];
    for (const { userId, peerId } of participants) {
      const connection = connectionTo(peerId);
      if (!connection) continue;
      const { counters, ...current } = read(await connection.getStats());
      const last = this.#last.get(peerId);
      this.#last.set(peerId, counters);
      if (last) reports.push({ userId, ...current, ...sinceLast(last, counters) });
    }
    for (const peerId of this.#last.keys())
      if (!participants.some((one) => one.peerId === peerId)) this.#last.delete(peerId);
    return reports;
  }
}

/** @param {RTCStatsReport} stats */
function read(stats) {
  const all = [...stats.values()];
  const inbound = all.filter(({ type }) => type === 'inbound-rtp');
  const sum = (field) => inbound.reduce((total, one) => total + (one[field] ?? 0), 0);
  const pair = all.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
  const jitter = inbound.find(({ kind }) => kind === 'audio')?.jitter;
  return {
    counters: {
      at: performance.now(),
      bytes: sum('bytesReceived'),
      lost: sum('packetsLost'),
      received: sum('packetsReceived'),
    },
    ...(pair?.currentRoundTripTime !== undefined && { roundTripMs: pair.currentRoundTripTime * 1000 }),
    ...(jitter !== undefined && { jitterMs: jitter * 1000 }),
  };
}

function sinceLast(last, now) {
  const seconds = (now.at - last.at) / 1000;
  const packets = now.lost - last.lost + now.received - last.received;
  return {
    bitrateKbps: Math.max(0, ((now.bytes - last.bytes) * 8) / 1000 / seconds),
    // Packets that arrive late are no longer counted as lost, so the number may shrink.
    ...(packets > 0 && { packetLossPercent: (Math.max(0, now.lost - last.lost) * 100) / packets }),
  };
}
