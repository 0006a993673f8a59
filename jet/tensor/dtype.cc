#include "jet/tensor/dtype.h"

#include "jet/base/error.h"

namespace jet {

namespace {
constexpr DType kAll[] = {DType::f32, DType::bf16, DType::f16, DType::i64, DType::i32,
                          DType::u8,  DType::i8,   DType::q8,  DType::q4};
}

const char* name_of(DType t) {
  switch (t) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f16: return "f16";
    case DType::i64: return "i64";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
    case DType::i8: return "i8";
    case DType::q8: return "int8";
    case DType::q4: return "int4";
  }
  return "?";
}

DType dtype_from_name(const std::string& name, const std::string& where) {
  for (DType t : kAll)
    if (name == name_of(t)) return t;
  fail("{}: unknown element type '{}' (known: f32, bf16, f16, i64, i32, u8, i8, int8, int4)", where, name);
}

}  // namespace jet
