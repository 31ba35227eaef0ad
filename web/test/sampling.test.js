// The rules of the playground, on distributions that can be checked by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { draw, greedy } from "../src/sampling.js";

const of = (...shares) => shares.map((prob, id) => ({ id, token: `t${id}`, prob }));
const close = (found, wanted) =>
  wanted.forEach((value, place) => assert.ok(Math.abs(found[place] - value) < 1e-9, `${found} for ${wanted}`));

test("with all rules off nothing changes", () => {
  const { drawn, kept, more } = draw(of(0.5, 0.3, 0.2), {});
  close(drawn, [0.5, 0.3, 0.2]);
  assert.deepEqual([kept, more], [3, false]);
});

test("a list that is not the whole vocabulary keeps its probabilities, and says that there are more", () => {
  const { drawn, kept, more } = draw(of(0.5, 0.3), {});
  close(drawn, [0.5, 0.3]);
  assert.deepEqual([kept, more], [2, true]);
});

test("top-k keeps the best, and shares out the rest", () => {
  const { drawn, kept, more } = draw(of(0.5, 0.3, 0.1), { topK: 2 });
  close(drawn, [0.625, 0.375, 0]);
  assert.deepEqual([kept, more], [2, false]);
});

test("top-p keeps the token that crosses the limit, and always the best", () => {
  close(draw(of(0.5, 0.3, 0.2), { topP: 0.6 }).drawn, [0.625, 0.375, 0]);
  close(draw(of(0.5, 0.3, 0.2), { topP: 0.1 }).drawn, [1, 0, 0]);
  assert.equal(draw(of(0.2, 0.1), { topP: 0.9 }).more, true, "the limit lies beyond the list");
});

test("top-p counts what top-k has left", () => {
  close(draw(of(0.4, 0.2, 0.2, 0.2), { topK: 2, topP: 0.6 }).drawn, [1, 0, 0, 0]);
});

test("min-p is measured against the best", () => {
  close(draw(of(0.6, 0.3, 0.06, 0.04), { minP: 0.1 }).drawn, [0.6 / 0.96, 0.3 / 0.96, 0.06 / 0.96, 0]);
});

test("greedy is one token", () => close(greedy(of(0.4, 0.35)).drawn, [1, 0]));
