// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The basic net on the CPU, for programs whose own sources nvcc compiles.

#include "../sparse/basic_net.hpp"

namespace bench {

struct net_reference {
  std::vector<float> y;                    ///< of the last level
  std::vector<basic_net::level_work> work; ///< of each level
};
net_reference basic_net_on_cpu();

} // namespace bench
