// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The currency between query stages.

#include <sqs/autodiff/graph.hpp>

namespace sqs {

/// Queries of one sample: what they know and where they are.
///
/// Shapes      content [Q, C]; anchors [Q, D], raw numbers in the layout of query/anchor.hpp, reference frame
template <class G, class T> struct query_set {
  variable<G, T, 2> content;
  variable<G, T, 2> anchors;
};

} // namespace sqs
