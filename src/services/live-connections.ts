import type { ObjectId } from 'mongodb';

/** Who is connected to this process now. Whoever keeps the connections tells it. */
export class LiveConnections {
  /** How many connections each user has, by id in hexadecimal digits. */
  private readonly byUser = new Map<string, number>();
  private count = 0;

  get sockets(): number {
    return this.count;
  }

  get users(): number {
    return this.byUser.size;
  }

  opened(userId: ObjectId): void {
    const id = userId.toHexString();
    this.byUser.set(id, (this.byUser.get(id) ?? 0) + 1);
    this.count++;
  }

  closed(userId: ObjectId): void {
    const id = userId.toHexString();
    const left = (this.byUser.get(id) ?? 0) - 1;
    if (left > 0) this.byUser.set(id, left);
    else this.byUser.delete(id);
    this.count--;
  }
}
