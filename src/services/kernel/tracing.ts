/** What a span says about its work: names from small sets, and numbers; never ids of users, or texts. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** Records how long work takes, and of which other work it is a part. */
export interface Tracing {
  /**
   * Runs work in a span, which ends when the work has ended, and has its failure. What the work runs is part of the span.
   * @param isRoot whether the span is part of no other one, because the work is done for several callers or for none.
   */
  run<Result>(
    name: string,
    attributes: SpanAttributes,
    work: () => Promise<Result>,
    isRoot?: boolean,
  ): Promise<Result>;
}
