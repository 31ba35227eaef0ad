// The arithmetic of the sampling playground: top-k, top-p and min-p on probabilities, as transformers and
// labkit.sampling.probabilities do it, in the same order. No page, no model.

/**
 * @typedef {{ topK?: number, topP?: number, minP?: number }} Rules a rule that is left out is off
 * @typedef {import("./engine.js").Candidate} Candidate
 */

/**
 * The candidates with the probability to be drawn; 0 where a rule cuts.
 *
 * @param {Candidate[]} candidates best first, with probabilities of the whole vocabulary after temperature
 * @param {Rules} rules
 * @returns {{ drawn: number[], kept: number, more: boolean }} `more`: candidates that are not in the list are kept, too
 */
export function draw(candidates, { topK = 0, topP = 1, minP = 0 }) {
  let kept = candidates.length;
  let mass = 1; // of all that top-k keeps, listed or not
  const listed = candidates.reduce((sum, { prob }) => sum + prob, 0);
  let more = listed < 0.999999;
  if (topK > 0 && topK <= kept) {
    kept = topK;
    mass = sum(candidates, kept);
    more = false;
  }
  if (topP < 1) {
    const needed = firstAbove(candidates, topP * mass);
    if (needed <= kept) {
      kept = needed;
      more = false;
    }
    mass = more ? 1 : sum(candidates, kept);
  }
  if (minP > 0) {
    const least = minP * (candidates[0]?.prob ?? 0);
    const worse = candidates.slice(0, kept).findIndex(({ prob }) => prob < least);
    if (worse >= 0) {
      kept = worse;
      more = false;
    }
  }
  const total = more ? 1 : sum(candidates, kept);
  const drawn = candidates.map(({ prob }, place) => (place < kept ? prob / total : 0));
  return { drawn, kept, more };
}

/** Greedy: all probability on the best one. @param {Candidate[]} candidates */
export function greedy(candidates) {
  return { drawn: candidates.map((_, place) => (place === 0 ? 1 : 0)), kept: 1, more: false };
}

/** How many of the best are needed for this much probability. @param {Candidate[]} candidates @param {number} wanted */
function firstAbove(candidates, wanted) {
  let mass = 0;
  for (const [place, { prob }] of candidates.entries()) {
    mass += prob;
    if (mass >= wanted) return place + 1;
  }
  return candidates.length + 1;
}

/** @param {Candidate[]} candidates @param {number} count */
function sum(candidates, count) {
  return candidates.slice(0, count).reduce((total, { prob }) => total + prob, 0);
}
