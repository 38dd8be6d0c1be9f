// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a submanifold convolution makes of rows that share a voxel.

namespace sqs::sparse {

/// What a tap sees where several rows share a voxel. Where voxels are unique, both are the ordinary convolution.
enum class duplicate_rule {
  symmetric,     ///< every row of the neighbouring voxel; the centre tap sees the row itself only
  representative ///< as spconv's native algorithm does: each voxel has a representative (here the lowest row); a row
                 ///< receives from the representatives of the first half of the taps, and a representative receives
                 ///< from all rows that scanned it. For parity with weights trained that way.
};

} // namespace sqs::sparse
