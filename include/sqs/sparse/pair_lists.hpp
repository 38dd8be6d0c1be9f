// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Which input rows meet which output rows at which tap: all that a sparse kernel knows of geometry.

#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse {

/// Pairs (input row, output row), grouped by tiles of output rows, within a tile by tap, within a tap in the order of the
/// outputs in `order`. A tile's outputs belong to nobody else, so tiles can be computed at the same time, and the order
/// of a row's sum does not depend on who computes it.
///
/// Several pairs may share an output and a tap (rows that share a voxel): within a list they are neighbours, which is
/// how kernels find them. An output may have no pair.
struct pair_lists {
  idx inputs = 0, outputs = 0, taps = 0;
  idx tile = 1;                  ///< outputs of a tile; the last may be smaller
  tensor<std::int32_t, 1> order; ///< [outputs] rows in the order of the tiles; empty: 0, 1, 2, ...
  tensor<idx, 1> begin; ///< [tiles * taps + 1]; list l = t * taps + k of tile t and tap k ends before begin[l + 1]
  tensor<std::int32_t, 1> input;  ///< [pairs]
  tensor<std::int32_t, 1> output; ///< [pairs]
  /// [outputs, taps] the same pairs as a table: the input row the i-th output of the order meets at tap k, or -1. Only
  /// where `with_bricks` made it.
  tensor<std::int32_t, 2> neighbours;
  idx brick_products = 0; ///< outputs times taps that bricks multiply: pairs and zeros

  idx tiles() const { return (outputs + tile - 1) / tile; }
  idx pairs() const { return input.size(); }
};

/// What an operator on sparse tensors needs: the pairs seen from the outputs, and, for the way back, from the inputs.
///
/// `backward` lists the same pairs with the roles swapped: list k of it belongs to the weights of tap k, as does list k
/// of `forward`. A submanifold plan is `mirrored`: row i sees j at tap k exactly when j sees i at the mirrored tap, so
/// both are the same handles, and list k of the way back belongs to the weights of tap taps - 1 - k.
struct convolution_plan {
  pair_lists forward, backward;
  bool mirrored = false;
  bool flipped = false; ///< the adjoint of a mirrored plan: list k of `forward` meets the weights of tap taps - 1 - k

  bool forward_flipped() const { return flipped; }
  bool backward_flipped() const { return mirrored != flipped; }
  /// The plan of the adjoint: inputs and outputs change places, every pair keeps the weights of its tap.
  convolution_plan adjoint() const { return {backward, forward, mirrored, mirrored && !flipped}; }
};

} // namespace sqs::sparse
