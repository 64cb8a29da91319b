# MLIR's headers cost more than the code that includes them: parsed once, they
# leave about half of the time of a build.
#
# scaling_precompile(<directory>...): every C++ target defined in or below the
# directories is compiled with the precompiled headers. Sources include what
# they use all the same, so that a build without them
# (-DSCALING_PRECOMPILE=OFF) works.

option(SCALING_PRECOMPILE "Parse MLIR's headers once for all targets" ON)

function(_scaling_targets_below result directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(subdirectory IN LISTS below)
    _scaling_targets_below(more ${subdirectory})
    list(APPEND targets ${more})
  endforeach()
  set(${result} ${targets} PARENT_SCOPE)
endfunction()

function(scaling_precompile)
  if(NOT SCALING_PRECOMPILE)
    return()
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
  file(GENERATE OUTPUT ${source} CONTENT "")
  add_library(scaling-precompiled OBJECT ${source})
  set_target_properties(scaling-precompiled PROPERTIES
                        POSITION_INDEPENDENT_CODE ON)
  # As LLVM's functions compile libraries that throw nothing.
  llvm_update_compile_flags(scaling-precompiled)
  target_precompile_headers(scaling-precompiled PRIVATE
    <mlir/Dialect/Affine/IR/AffineOps.h>
    <mlir/Dialect/Arith/IR/Arith.h>
    <mlir/Dialect/Linalg/IR/Linalg.h>
    <mlir/Dialect/Math/IR/Math.h>
    <mlir/Dialect/MemRef/IR/MemRef.h>
    <mlir/Dialect/SCF/IR/SCF.h>
    <mlir/Dialect/SCF/Transforms/TileUsingInterface.h>
    <mlir/Dialect/Tensor/IR/Tensor.h>
    <mlir/Dialect/Vector/IR/VectorOps.h>
    <mlir/IR/PatternMatch.h>
    <mlir/Pass/Pass.h>)
  foreach(directory IN LISTS ARGN)
    _scaling_targets_below(targets ${directory})
    foreach(target IN LISTS targets)
      get_target_property(type ${target} TYPE)
      if(NOT type MATCHES "LIBRARY|EXECUTABLE" OR type STREQUAL INTERFACE_LIBRARY)
        continue()
      endif()
      get_target_property(sources ${target} SOURCES)
      list(FILTER sources INCLUDE REGEX "\\.cpp$")
      if(sources)
        target_precompile_headers(${target} REUSE_FROM scaling-precompiled)
      endif()
    endforeach()
  endforeach()
endfunction()
