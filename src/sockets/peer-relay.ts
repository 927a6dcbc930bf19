import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { peerIdSchema } from '../models/calls/peer.model';
import type { NodeRequests } from '../services/kernel/node-requests';

/** Frames for one peer that is connected to another node, in their order. */
const deliverySchema = z.object({
  callId: z.string().regex(/^[0-9a-f]{24}$/),
  /** The version of the call by which the sending node has decided. */
  version: z.number().int(),
  to: z.object({ peerId: peerIdSchema, connectionId: z.string().max(64) }),
  /** Each with the peer id of its sender, and its text as the sender's client has sent it, without unknown fields. */
  frames: z.array(z.object({ src: peerIdSchema, text: z.string() })),
});

const answerSchema = z.discriminatedUnion('outcome', [
  /** All frames have been processed, in their order. `refused`: the indices of those that were not delivered. */
  z.object({ outcome: z.literal('processed'), refused: z.array(z.number().int()) }),
  /** The peer does not have this connection on the node: no frame was processed. */
  z.object({ outcome: z.literal('absent') }),
]);

/** What became of frames that were sent to another node. */
export type DeliveryAnswer = z.output<typeof answerSchema>;

export interface Delivery {
  callId: ObjectId;
  version: number;
  to: { peerId: string; connectionId: string };
  frames: { src: string; text: string }[];
}

/** Sends frames of peers to other nodes, and receives theirs. */
export class PeerRelay {
  constructor(private readonly requests: NodeRequests) {}

  /** @param deliver receives the frames of other nodes. It must not fail. */
  start(deliver: (delivery: Delivery) => Promise<DeliveryAnswer>): void {
    this.requests.handle(async (body) => {
      const delivery = deliverySchema.safeParse(body);
      if (!delivery.success) return { outcome: 'absent' } satisfies DeliveryAnswer;
      return deliver({ ...delivery.data, callId: new ObjectId(delivery.data.callId) });
    });
  }

  /**
   * Sends frames to a node. Never fails.
   * @returns undefined if it is not known whether they were delivered.
   */
  async send(nodeId: string, delivery: Delivery, timeoutMs: number): Promise<DeliveryAnswer | undefined> {
    const body = { ...delivery, callId: delivery.callId.toHexString() };
    const response = await this.requests.send(nodeId, body, timeoutMs);
    if (response.outcome === 'no_node') return { outcome: 'absent' };
    return response.outcome === 'answered' ? answerSchema.safeParse(response.body).data : undefined;
  }
}
