// A block is a token mixer, written once. It declares, each in one place of one page:
//
//   kind                     its name in config.json and recipes
//   Config                   its sizes and options, and about them
//     fields(c, visit)         each by its key: read and written as JSON
//     check(where)             throws on sizes that do not fit together
//     like(attention, d)       the block that takes the place of this attention layer
//     examples()               odd sizes, every option on in one and off in another: the laws run on each
//   Weights<T>, params()     visit(name, T&, ParamSpec) of every parameter
//   State<T>, state()        visit(name, T&, StateSpec) of all that a sequence carries from call to call
//   roles(c)                 which of its rows play an attention layer's q, k, v and o
//   takes_over(c, other)     of a block that can compute what a trained one of another kind does: its parameters made
//                            of the other's
//   attention_part           of a block that has a whole attention layer in it: the prefix of its parameters
//   new_part()               of such a block, where what is beside it can be fitted to the attention by itself
//   leaves_out_the_mixer     of a block that stands for no mixer: its layer has no norms for one
//   forward(ops, ...)        the equations, over any op set (jet/blocks/op_set.h)
//
// Loading, saving, starting, quantizing, counting, pricing a cache, inheriting and the law tests walk these lists; none
// of them knows a block by name. Lists may be empty.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jet/blocks/op_set.h"

namespace jet {

/// How a parameter starts. fan_in: normal with std a / sqrt(columns). decay_log: log of U(a, b).
/// softplus_inverse: x with softplus(x) log-uniform in [a, b]. last_tap: convolution kernels of width a that pass the
/// current token through (1 at the last tap, normal with std 0.02 around it).
struct Init {
  enum Kind { fan_in, normal, constant, decay_log, softplus_inverse, last_tap } kind = fan_in;
  double a = 1, b = 0;
};

/// What a parameter is for: how it is stored, quantized and started depends on it.
enum class ParamRole {
  matrix,      // what linear() and embed() read: these four stay as they lie in the file, all else is used as floats
  output,      // a matrix whose product is added to the residual stream
  gate,        // a narrow matrix that makes gates and decays: small, and its errors pile up in the state
  vocabulary,  // the embedding and the head
  norm,        // the weights of a norm
  vector       // biases, decays, convolution kernels
};

struct ParamSpec {
  ParamRole role = ParamRole::vector;
  Shape shape;
  Init init{};

  bool is_matrix() const { return role < ParamRole::norm; }

  static ParamSpec matrix(int64_t out, int64_t in, Init init = {}) { return {ParamRole::matrix, {out, in}, init}; }
  static ParamSpec output(int64_t out, int64_t in) { return {ParamRole::output, {out, in}}; }
  static ParamSpec gate(int64_t out, int64_t in, Init init = {}) { return {ParamRole::gate, {out, in}, init}; }
  static ParamSpec norm(int64_t n) { return {ParamRole::norm, {n}, {Init::constant, 1}}; }
  static ParamSpec vector(Shape shape, Init init) { return {ParamRole::vector, std::move(shape), init}; }
  static ParamSpec constant(int64_t n, double value) { return vector({n}, {Init::constant, value}); }
};

/// What one sequence carries from call to call. `recurrent`: the matrices [heads, dK, dV] that every token updates, in
/// fp32 or, on request, bf16. `fixed`: other numbers, fp32. Both are zero at the start. `rows`: one row of `shape` a
/// token, all of them where window is 0, otherwise `window` of them: the first `sinks` and the last others.
struct StateSpec {
  enum Kind { recurrent, fixed, rows } kind = fixed;
  Shape shape;
  int window = 0, sinks = 0;
};

/// Which rows (or columns, for `o`) of a parameter play the part of an attention layer's q, k, v, o: what a linear
/// branch inherits from the attention that it replaces.
struct AttentionRole {
  enum Role { q, k, v, o } role;
  std::string param;
  int64_t offset = 0;
  int heads = 0, dim = 0;
  int apart = 0;  // rows from head to head; 0: dim
};

/// The roles of a block whose projections are named as attention's: q_proj, k_proj, v_proj, o_proj.
inline std::vector<AttentionRole> projection_roles(int q_heads, int k_heads, int v_heads, int o_heads, int dk, int dv) {
  return {{AttentionRole::q, "q_proj.weight", 0, q_heads, dk},
          {AttentionRole::k, "k_proj.weight", 0, k_heads, dk},
          {AttentionRole::v, "v_proj.weight", 0, v_heads, dv},
          {AttentionRole::o, "o_proj.weight", 0, o_heads, dv}};
}

/// A parameter made of one of a block of another kind: each row of `from` `repeat` times, times `scale`, the rows that
/// are left zero. Without `from` of the unit matrix. Parameters that both have by one name are taken as they are.
struct TakenOver {
  std::string param, from;
  int repeat = 1;
  float scale = 1;
};

/// The sizes asked of a block that takes the place of attention: heads x dK x dV.
struct MixerDims {
  int heads = 0, dk = 0, dv = 0;
};

// What configs check. `where` begins the error: "config.json: layer 3".

/// 1 to 2^20: products of three sizes stay far from overflow.
void check_size(const char* key, int64_t value, const std::string& where);
/// The same for what may be left out: 0 to 2^20.
void check_optional(const char* key, int64_t value, const std::string& where);
/// `many` is a multiple of `few`, as where heads are shared.
void check_multiple(const char* key, int64_t many, const char* of, int64_t few, const std::string& where);
/// Rotary embedding turns pairs.
void check_pairs(const char* key, int64_t value, const std::string& where);
void check_eps(float eps, const std::string& where);
/// heads, dk, dv.
template <class Config>
void check_dims(const Config& c, const std::string& where) {
  check_size("heads", c.heads, where);
  check_size("dk", c.dk, where);
  check_size("dv", c.dv, where);
}

}  // namespace jet
