// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Forward declarations of the vocabulary, for headers of host programs that only name it.

namespace sqs {

struct cpu;
struct host;
struct device;
class pool;
struct sample;
template <class T, int Rank, class Space> class tensor;
template <class G, class T, int Rank> class variable;
template <class T, int Rank> struct parameter;
template <class T> struct vec3;
template <class T> struct quaternion;
template <class T> struct se3;
template <class T> struct pinhole_camera;
template <class T> class camera_rig;

namespace model {
template <class Policy> struct sqs;
} // namespace model

} // namespace sqs
