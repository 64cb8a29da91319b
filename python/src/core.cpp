//===- core.cpp - The compiler and its code, for Python -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programs are compiled to bytes, loaded from bytes, and called with NumPy
// arrays. What is checked here is what memory safety needs; the rest, and all
// that makes calling comfortable, is in Python.
//
//===----------------------------------------------------------------------===//

#include "scaling/Runtime/Runtime.h"
#include "scaling/Target/InProcess/InProcess.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;
using namespace mlir::scaling;

namespace {

/// What calls need of NumPy, looked up once.
struct NumPy {
  nb::object empty, uint16;

  static NumPy &get() {
    static NumPy *numpy = [] {
      nb::module_ module = nb::module_::import_("numpy");
      return new NumPy{module.attr("empty"), module.attr("uint16")};
    }();
    return *numpy;
  }
};

/// An element type, as memory and as NumPy knows it.
struct ElementType {
  enum Kind { Float, Half, BFloat, Integer, Bool } kind;
  int64_t size;
  nb::object dtype;
};

ElementType getElementType(const std::string &name) {
  auto make = [](ElementType::Kind kind, int64_t size, const char *numpyName) {
    return ElementType{kind, size,
                       nb::module_::import_("numpy").attr("dtype")(numpyName)};
  };
  if (name == "f64")
    return make(ElementType::Float, 8, "float64");
  if (name == "f32")
    return make(ElementType::Float, 4, "float32");
  if (name == "f16")
    return make(ElementType::Half, 2, "float16");
  if (name == "bf16")
    return {ElementType::BFloat, 2,
            nb::module_::import_("numpy").attr("dtype")(
                nb::module_::import_("ml_dtypes").attr("bfloat16"))};
  if (name == "i1")
    return make(ElementType::Bool, 1, "bool");
  if (name == "i8")
    return make(ElementType::Integer, 1, "int8");
  if (name == "i16")
    return make(ElementType::Integer, 2, "int16");
  if (name == "i32")
    return make(ElementType::Integer, 4, "int32");
  return make(ElementType::Integer, 8, "int64");
}

/// The memory of an array, for as long as this lives.
class BufferView {
public:
  BufferView() = default;
  BufferView(const BufferView &) = delete;
  BufferView &operator=(const BufferView &) = delete;
  ~BufferView() {
    if (view.obj)
      PyBuffer_Release(&view);
  }

  void acquire(nb::handle object, const ElementType &type, bool writable) {
    nb::object bits;
    // Python's buffers know no bf16.
    if (type.kind == ElementType::BFloat) {
      bits = object.attr("view")(NumPy::get().uint16);
      object = bits;
    }
    int flags = PyBUF_ND | PyBUF_C_CONTIGUOUS;
    if (writable)
      flags |= PyBUF_WRITABLE;
    if (PyObject_GetBuffer(object.ptr(), &view, flags) != 0)
      nb::raise_python_error();
  }

  Py_buffer view = {};
};

/// A program in memory; its functions keep it there.
class Program {
public:
  explicit Program(InProcessObject object) : object(std::move(object)) {
    std::string message;
    loaded = InProcessProgram::load(this->object, message);
    if (!loaded)
      throw nb::value_error(message.c_str());
    // The code is linked; its bytes are not needed any more.
    this->object.code = std::string();
  }

  InProcessObject object;
  std::unique_ptr<InProcessProgram> loaded;
};

/// One function of a program.
class Function {
public:
  Function(nb::object owner, const std::string &name);

  /// Calls it with one argument per input. The result is a tuple of arrays, and
  /// with `withStatus` the largest status that is reported after them.
  nb::object call(const nb::args &args, bool withStatus) const;

  const InProcessSignature &getSignature() const { return *signature; }
  InProcessProgram::Function getAddress() const { return run; }

private:
  std::string describe(size_t index) const {
    const InProcessValue &input = signature->inputs[index];
    return "argument " + std::to_string(index) + " (" + input.name + ") of '" +
           signature->name + "'";
  }
  void storeScalar(size_t index, nb::handle value, int64_t &word) const;
  void checkShape(size_t index, const Py_buffer &view) const;
  void checkRelations(const BufferView *views) const;

  nb::object owner;
  const InProcessSignature *signature = nullptr;
  std::vector<ElementType> inputTypes, resultTypes;
  InProcessProgram::Function run = nullptr;
  InProcessProgram::Function resultDims = nullptr;
  int64_t numResultDims = 0;
  int64_t statusIndex = -1;
};

} // namespace

Function::Function(nb::object owner, const std::string &name) : owner(owner) {
  Program &program = nb::cast<Program &>(owner);
  for (const InProcessSignature &candidate : program.object.functions)
    if (candidate.name == name)
      signature = &candidate;
  if (!signature)
    throw nb::key_error(name.c_str());
  for (const InProcessValue &input : signature->inputs)
    inputTypes.push_back(getElementType(input.elementType));
  for (auto &result : signature->results) {
    if (result.role == "status" && result.elementType == "i32")
      statusIndex = resultTypes.size();
    resultTypes.push_back(getElementType(result.elementType));
    numResultDims += std::count(result.shape.begin(), result.shape.end(), -1);
  }
  std::string message;
  run = program.loaded->lookup(name, message);
  if (run && numResultDims)
    resultDims = program.loaded->lookupResultDims(name, message);
  if (!run || (numResultDims && !resultDims))
    throw nb::value_error(message.c_str());
}

void Function::storeScalar(size_t index, nb::handle value,
                           int64_t &word) const {
  auto store = [&](auto number) {
    std::memcpy(&word, &number, sizeof(number));
  };
  const ElementType &type = inputTypes[index];
  if (type.kind == ElementType::Integer || type.kind == ElementType::Bool) {
    nb::object number = nb::steal(PyNumber_Index(value.ptr()));
    if (!number.is_valid())
      nb::raise_python_error();
    long long integer = PyLong_AsLongLong(number.ptr());
    if (integer == -1 && PyErr_Occurred())
      nb::raise_python_error();
    int64_t bits = type.kind == ElementType::Bool ? 1 : 8 * type.size;
    if (bits < 64 && (bits == 1 ? (integer != 0 && integer != 1)
                                : (integer >> (bits - 1)) != 0 &&
                                      (integer >> (bits - 1)) != -1))
      throw nb::value_error((describe(index) + ": " + std::to_string(integer) +
                             " is not in the range of " +
                             signature->inputs[index].elementType)
                                .c_str());
    store(int64_t(integer));
    return;
  }
  double number = PyFloat_AsDouble(value.ptr());
  if (number == -1 && PyErr_Occurred())
    nb::raise_python_error();
  if (type.kind == ElementType::Half) {
    if (PyFloat_Pack2(number, reinterpret_cast<char *>(&word), /*le=*/1) != 0)
      nb::raise_python_error();
  } else if (type.kind == ElementType::BFloat) {
    float narrow = float(number);
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof(bits));
    // To the nearest, ties to even; a NaN stays one.
    if (number == number)
      bits += 0x7FFF + ((bits >> 16) & 1);
    store(uint16_t(bits >> 16));
  } else if (type.size == 4)
    store(float(number));
  else
    store(number);
}

static std::string toString(const int64_t *sizes, size_t rank) {
  std::string text = "(";
  for (size_t dim = 0; dim < rank; ++dim)
    text += (dim ? ", " : "") +
            (sizes[dim] < 0 ? std::string("?") : std::to_string(sizes[dim]));
  return text + (rank == 1 ? ",)" : ")");
}

void Function::checkShape(size_t index, const Py_buffer &view) const {
  const InProcessValue &input = signature->inputs[index];
  size_t rank = view.ndim;
  bool fits = rank == input.shape.size();
  for (size_t dim = 0; fits && dim < rank; ++dim)
    fits = input.shape[dim] < 0 || input.shape[dim] == view.shape[dim];
  if (!fits) {
    std::vector<int64_t> sizes(view.shape, view.shape + rank);
    throw nb::value_error((describe(index) + " has shape " +
                           toString(sizes.data(), rank) + ", expected " +
                           toString(input.shape.data(), input.shape.size()))
                              .c_str());
  }
  if (view.itemsize != inputTypes[index].size)
    throw nb::type_error((describe(index) + " has elements of " +
                          std::to_string(view.itemsize) + " bytes, expected " +
                          input.elementType)
                             .c_str());
  if (reinterpret_cast<uintptr_t>(view.buf) % view.itemsize != 0)
    throw nb::buffer_error((describe(index) + " is not aligned").c_str());
}

void Function::checkRelations(const BufferView *views) const {
  for (const InProcessRelation &relation : signature->relations) {
    int64_t size = views[relation.argument].view.shape[relation.dim];
    int64_t wanted = relation.difference;
    std::string because;
    if (relation.otherArgument >= 0) {
      wanted += views[relation.otherArgument].view.shape[relation.otherDim];
      because = " to go with dimension " + std::to_string(relation.otherDim) +
                " of " + signature->inputs[relation.otherArgument].name;
    }
    if (size != wanted)
      throw nb::value_error((describe(relation.argument) + ": dimension " +
                             std::to_string(relation.dim) + " is " +
                             std::to_string(size) + ", expected " +
                             std::to_string(wanted) + because)
                                .c_str());
  }
}

nb::object Function::call(const nb::args &args, bool withStatus) const {
  const std::vector<InProcessValue> &inputs = signature->inputs;
  const std::vector<InProcessValue> &results = signature->results;
  size_t numInputs = inputs.size(), count = numInputs + results.size();
  if (args.size() != numInputs)
    throw nb::type_error(("'" + signature->name + "' takes " +
                          std::to_string(numInputs) + " arguments, " +
                          std::to_string(args.size()) + " were given")
                             .c_str());

  auto views = std::make_unique<BufferView[]>(count);
  size_t numWords = numResultDims;
  for (size_t i = 0; i < count; ++i)
    numWords +=
        3 +
        2 * (i < numInputs ? inputs[i] : results[i - numInputs]).shape.size();
  // Descriptors (two pointers, offset, sizes, strides), scalars and the sizes
  // of results; then pointers to descriptors, and to those.
  std::vector<int64_t> words(numWords);
  std::vector<void *> pointers(count + 1), arguments(count + 1);
  int64_t *next = words.data();
  auto describeArray = [&](size_t i, void *data, auto *shape, size_t rank) {
    int64_t *descriptor = next;
    next += 3 + 2 * rank;
    descriptor[0] = descriptor[1] = reinterpret_cast<int64_t>(data);
    int64_t stride = 1;
    for (size_t dim = rank; dim-- > 0;) {
      descriptor[3 + dim] = shape[dim];
      descriptor[3 + rank + dim] = stride;
      stride *= shape[dim];
    }
    pointers[i] = descriptor;
    arguments[i] = &pointers[i];
  };

  for (size_t i = 0; i < numInputs; ++i) {
    if (inputs[i].isScalar) {
      storeScalar(i, args[i], *next);
      arguments[i] = next;
      next += 3;
      continue;
    }
    Py_buffer &view = views[i].view;
    views[i].acquire(args[i], inputTypes[i], inputs[i].isWritten);
    checkShape(i, view);
    describeArray(i, view.buf, view.shape, view.ndim);
  }
  checkRelations(views.get());

  int64_t *dims = next;
  next += numResultDims;
  if (numResultDims) {
    int64_t descriptor[5] = {reinterpret_cast<int64_t>(dims),
                             reinterpret_cast<int64_t>(dims), 0, numResultDims,
                             1};
    pointers[numInputs] = descriptor;
    arguments[numInputs] = &pointers[numInputs];
    resultDims(arguments.data());
  }

  NumPy &numpy = NumPy::get();
  nb::object tuple =
      nb::steal(PyTuple_New(results.size() + (withStatus ? 1 : 0)));
  for (size_t i = 0; i < results.size(); ++i) {
    size_t rank = results[i].shape.size();
    nb::object shape = nb::steal(PyTuple_New(rank));
    for (size_t dim = 0; dim < rank; ++dim) {
      int64_t size = results[i].shape[dim];
      if (size < 0)
        size = *dims++;
      if (size < 0)
        throw nb::value_error(("the shape of " + results[i].name +
                               " is negative for these arguments")
                                  .c_str());
      PyTuple_SET_ITEM(shape.ptr(), dim, PyLong_FromLongLong(size));
    }
    PyObject *parameters[] = {shape.ptr(), resultTypes[i].dtype.ptr()};
    nb::object array = nb::steal(
        PyObject_Vectorcall(numpy.empty.ptr(), parameters, 2, nullptr));
    if (!array.is_valid())
      nb::raise_python_error();
    Py_buffer &view = views[numInputs + i].view;
    views[numInputs + i].acquire(array, resultTypes[i], /*writable=*/true);
    describeArray(numInputs + i, view.buf, view.shape, rank);
    PyTuple_SET_ITEM(tuple.ptr(), i, array.release().ptr());
  }

  {
    nb::gil_scoped_release release;
    run(arguments.data());
  }

  if (withStatus) {
    int32_t worst = 0;
    if (statusIndex >= 0) {
      const Py_buffer &view = views[numInputs + statusIndex].view;
      auto *statuses = static_cast<const int32_t *>(view.buf);
      for (int64_t i = 0, e = view.len / sizeof(int32_t); i < e; ++i)
        worst = std::max(worst, statuses[i]);
    }
    PyTuple_SET_ITEM(tuple.ptr(), results.size(), PyLong_FromLong(worst));
  }
  return tuple;
}

/// An input or result for Python: name, role, element type, scalar, written,
/// and the shape with None where a size is open.
static nb::tuple describe(const InProcessValue &value) {
  nb::list shape;
  for (int64_t size : value.shape)
    shape.append(size < 0 ? nb::none() : nb::object(nb::int_(size)));
  return nb::make_tuple(value.name, value.role, value.elementType,
                        value.isScalar, value.isWritten, nb::tuple(shape));
}

static nb::tuple describe(const std::vector<InProcessValue> &values) {
  nb::list list;
  for (const InProcessValue &value : values)
    list.append(describe(value));
  return nb::tuple(list);
}

NB_MODULE(_core, m) {
  m.doc() = "The compiler and its code";
  // Programs are kept for as long as the process lives.
  nb::set_leak_warnings(false);
  m.def(
      "compile",
      [](const std::string &text, const std::string &name, bool linalg,
         bool threads, const std::string &passes) {
        std::string messages;
        std::optional<InProcessObject> object;
        std::string bytes;
        {
          nb::gil_scoped_release release;
          InProcessOptions options;
          options.passes = passes;
          options.linalg = linalg;
          options.threads = threads;
          object = compileInProcess(text, name, options, messages);
          if (object)
            bytes = object->serialize();
        }
        nb::object result = nb::none();
        if (object)
          result = nb::bytes(bytes.data(), bytes.size());
        return nb::make_tuple(result, messages);
      },
      "text"_a, "name"_a, "linalg"_a = false, "threads"_a = true,
      "passes"_a = "",
      "Compiles MLIR for this machine, after it went through these passes: "
      "(bytes for `load`, warnings), or (None, errors).");
  m.def(
      "compile_for_iree",
      [](const std::string &text, const std::string &name,
         const std::string &route, const std::string &objectName) {
        std::string messages;
        std::optional<InProcessIREE> made;
        {
          nb::gil_scoped_release release;
          made =
              compileForIREE(text, name,
                             route == "portable" ? InProcessIREERoute::Portable
                             : route == "split"  ? InProcessIREERoute::Split
                                                 : InProcessIREERoute::Library,
                             objectName, messages);
        }
        nb::object result = nb::none();
        if (made)
          result = nb::make_tuple(
              made->program, made->library,
              nb::bytes(made->object.data(), made->object.size()));
        return nb::make_tuple(result, messages);
      },
      "text"_a, "name"_a, "route"_a, "object_name"_a,
      "A program for IREE: ((program, library, object), warnings), or (None, "
      "errors). The route is portable, split or library.");
  m.def(
      "load",
      [](nb::bytes bytes) -> nb::object {
        std::optional<InProcessObject> object = InProcessObject::deserialize(
            std::string_view(bytes.c_str(), bytes.size()));
        if (!object)
          return nb::none();
        return nb::cast(new Program(std::move(*object)),
                        nb::rv_policy::take_ownership);
      },
      "bytes"_a, "A program from what `compile` made; None for other bytes.");
  m.def(
      "transform",
      [](const std::string &text, const std::string &name,
         const std::string &passes) {
        std::string messages;
        std::optional<std::string> result;
        {
          nb::gil_scoped_release release;
          result = transformInProcess(text, name, passes, messages);
        }
        return nb::make_tuple(
            result ? nb::object(nb::str(result->data(), result->size()))
                   : nb::none(),
            messages);
      },
      "text"_a, "name"_a, "passes"_a,
      "Runs passes on MLIR: (text, warnings), or (None, errors).");
  m.def("target", &describeInProcessTarget,
        "What compiled code depends on, but the compiler itself.");
  m.def("set_num_threads", &scaling_set_num_threads, "count"_a);
  m.def("get_num_threads", &scaling_get_num_threads);

  nb::class_<Program>(m, "Program")
      .def_prop_ro("functions", [](const Program &program) {
        nb::list names;
        for (const InProcessSignature &function : program.object.functions)
          names.append(function.name);
        return names;
      });
  nb::class_<Function>(m, "Function")
      .def(nb::init<nb::object, const std::string &>(), "program"_a, "name"_a)
      .def_prop_ro("name",
                   [](const Function &f) { return f.getSignature().name; })
      .def_prop_ro(
          "inputs",
          [](const Function &f) { return describe(f.getSignature().inputs); })
      .def_prop_ro(
          "results",
          [](const Function &f) { return describe(f.getSignature().results); })
      .def_prop_ro("address",
                   [](const Function &f) {
                     return reinterpret_cast<uintptr_t>(f.getAddress());
                   })
      .def("call",
           [](const Function &f, nb::args args) { return f.call(args, false); })
      .def("call_with_status",
           [](const Function &f, nb::args args) { return f.call(args, true); });
}
