// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans of every sparse convolution, from sites and one geometric relation.

#include <sqs/sparse/detail/exchange.hpp>
#include <sqs/sparse/detail/pair_search.hpp>
#include <sqs/sparse/detail/reach.hpp>
#include <sqs/sparse/duplicate_rule.hpp>

namespace sqs::sparse {

/// A plan and the sites of its two ends. Copies share everything.
template <int D> struct site_plan {
  convolution_plan plan;
  sites<D> input, output;
};

/// Plan of a convolution from `fine` to `coarse`, two sets of sites that exist: tap k joins them where
/// fine = stride coarse + dilation k - pad. Its adjoint goes from coarse to fine. A site may have no partner.
///
/// Errors      precondition_error if the numbers of batches differ or the relation is not sound.
/// Execution   Parallel; the same for any thread count.
/// Cost        One search: a merge of the rows of cells per tap of the leading axes, then bits; 12 bytes of scratch per
///             site and three taps.
template <int D>
convolution_plan make_plan_between(cpu& e, const sites<D>& fine, const sites<D>& coarse, const relation<D>& r) {
  r.check();
  expects(fine.batches() == coarse.batches(), "sqs::sparse::make_plan_between: the fine sites have ", fine.batches(),
          " batches, the coarse ones ", coarse.batches(), "; both must have the same");
  auto forward = detail::pair_search<D>(fine, coarse, r, detail::shared_rows::all).run(e);
  auto backward = detail::exchanged_lists(e, forward, fine, coarse, detail::tile_size(fine.rows));
  return {std::move(forward), std::move(backward), false};
}

/// Plan of a submanifold convolution: outputs are the inputs' sites, tap k sees the site at dilation (k - kernel / 2).
/// One search serves both directions. Where rows share a voxel, `rule` says what a tap sees. For narrow layers on volumes
/// that are almost full see `with_bricks`.
///
/// Errors      precondition_error for an even kernel.
template <int D>
convolution_plan make_submanifold_plan(cpu& e, const sites<D>& s, const std::type_identity_t<tap_set<D>>& taps,
                                       const typename sites<D>::position& dilation = detail::filled<D>(1),
                                       duplicate_rule rule = duplicate_rule::symmetric) {
  const auto r = submanifold_relation<D>(taps, dilation);
  const auto shared =
      rule == duplicate_rule::symmetric ? detail::shared_rows::apart : detail::shared_rows::representative;
  const auto lists = detail::pair_search<D>(s, s, r, shared).run(e);
  return {lists, lists, true};
}

/// Plan of a (strided) convolution: an output lives wherever a tap reaches an input. Outputs stand in order of keys.
///
/// Errors      precondition_error if the kernel does not fit the padded grid.
template <int D>
site_plan<D> make_convolution_plan(cpu& e, const sites<D>& input, const std::type_identity_t<relation<D>>& r) {
  r.check();
  const detail::key_layout<D> layout(r.coarse_grid(input.grid()), input.batches());
  const auto output = detail::sites_of_words(e, layout, detail::reached_words(e, input, layout, r, false));
  return {make_plan_between(e, input, output, r), input, output};
}

/// Plan of a transposed, generative convolution: an output lives wherever an input reaches through a tap, inside the
/// grid of `relation::fine_grid`. (For outputs that are given: the adjoint of `make_plan_between`.)
template <int D> site_plan<D> make_transposed_plan(cpu& e, const sites<D>& input,
                                                   const std::type_identity_t<relation<D>>& r,
                                                   const typename sites<D>::position& output_padding = {}) {
  r.check();
  const detail::key_layout<D> layout(r.fine_grid(input.grid(), output_padding), input.batches());
  const auto output = detail::sites_of_words(e, layout, detail::reached_words(e, input, layout, r, true));
  return {make_plan_between(e, output, input, r).adjoint(), input, output};
}

/// Plan of the inverse of a convolution: from its outputs back to exactly its inputs, through the same pairs and taps.
///
/// Errors      precondition_error for a submanifold plan: it has nothing to go back to.
template <int D> site_plan<D> make_inverse_plan(const site_plan<D>& forward) {
  expects(!forward.plan.mirrored, "sqs::sparse::make_inverse_plan: a submanifold plan cannot be inverted; its outputs "
                                  "are its inputs, use the plan itself");
  return {forward.plan.adjoint(), forward.output, forward.input};
}

namespace detail {
/// The lists of some taps: `number(k)` is the old number of tap k.
template <class Number> pair_lists lists_of_taps(cpu& e, const pair_lists& p, idx taps, Number&& number) {
  pair_lists out;
  out.inputs = p.inputs, out.outputs = p.outputs, out.taps = taps, out.tile = p.tile, out.order = p.order;
  const idx lists = p.tiles() * taps;
  out.begin = empty<idx, 1>(e, {lists + 1});
  const auto source = [&](idx list) { return p.begin.data() + list / taps * p.taps + number(list % taps); };
  for (idx l = 0; l < lists; ++l) { out.begin.data()[l] = source(l)[1] - source(l)[0]; }
  const idx pairs = exclusive_scan(e, out.begin.data(), out.begin.data(), lists);
  out.begin.data()[lists] = pairs;
  out.input = empty<std::int32_t, 1>(e, {pairs});
  out.output = empty<std::int32_t, 1>(e, {pairs});
  parallel_for(e, p.tiles(), 1, [&](idx t, idx) {
    for (idx l = t * taps; l < (t + 1) * taps; ++l) {
      const idx from = *source(l), to = out.begin.data()[l], n = out.begin.data()[l + 1] - to;
      std::copy_n(p.input.data() + from, n, out.input.data() + to);
      std::copy_n(p.output.data() + from, n, out.output.data() + to);
    }
  });
  return out;
}
} // namespace detail

/// The plan of some taps of a submanifold plan, without a search: from the plan of 3x3x3 those of 3x3x1, 3x1x3, 1x3x3.
/// `taps` lies in the middle of `of`, the taps the plan was made with; the dilation stays.
///
/// Errors      precondition_error if the plan has another number of taps than `of`, is no submanifold plan, or `taps`
///             does not lie in the middle.
template <int D> convolution_plan restricted_plan(cpu& e, const convolution_plan& plan, const tap_set<D>& of,
                                                  const std::type_identity_t<tap_set<D>>& taps) {
  expects(plan.mirrored && plan.forward.taps == of.count(), "sqs::sparse::restricted_plan: the plan has ",
          plan.forward.taps, " taps", plan.mirrored ? "" : " and is not submanifold", ", the kernel ",
          detail::extents_text(of.extent), " has ", of.count(),
          "; give a submanifold plan and the kernel it was made for");
  expects(taps.inside(of), "sqs::sparse::restricted_plan: ", detail::extents_text(taps.extent),
          " does not lie in the middle of ", detail::extents_text(of.extent),
          "; on every axis it must be shorter by an even number");
  const auto lists =
      detail::lists_of_taps(e, plan.forward, taps.count(), [&](idx tap) { return taps.number_in(of, tap); });
  return {lists, lists, true, plan.flipped};
}
template <idx... K>
convolution_plan restricted_plan(cpu& e, const convolution_plan& plan, taps<K...> of,
                                 const std::type_identity_t<tap_set<static_cast<int>(sizeof...(K))>>& t) {
  return restricted_plan<static_cast<int>(sizeof...(K))>(e, plan, of.set, t);
}

} // namespace sqs::sparse
