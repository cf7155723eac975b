# The only place with machine flags. rnnfast_add_isa(<name> <processors> <vector bytes> [flags...]) compiles
# cpp/simd/kernels.cpp once more, in the namespace rnnfast::<name>, with the vectors of cpp/simd/vec_<name>-inl.hpp. An ISA of
# other processors (a regular expression), or whose flags the compiler does not know, is left out of the build.
include(CheckCXXCompilerFlag)

function(rnnfast_has_isa result name processors)
  set(${result} 0 PARENT_SCOPE)
  if(RNNFAST_ISAS AND NOT name IN_LIST RNNFAST_ISAS)
    return()
  endif()
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "${processors}")
    return()
  endif()
  foreach(flag IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "RNNFAST_FLAG_${flag}" known)
    check_cxx_compiler_flag("${flag}" ${known})
    if(NOT ${known})
      message(STATUS "rnnfast: no ${name}, the compiler does not know ${flag}")
      return()
    endif()
  endforeach()
  set(${result} 1 PARENT_SCOPE)
endfunction()

function(rnnfast_add_isa name processors vector_bytes)
  rnnfast_has_isa(built ${name} "${processors}" ${ARGN})
  # The list of the registry (cpp/base/registry.hpp) names all ISAs; this says which of them are in the build.
  target_compile_definitions(rnnfast_core PRIVATE RNNFAST_HAVE_${name}=${built})
  if(NOT built)
    return()
  endif()
  add_library(rnnfast_${name} OBJECT ${PROJECT_SOURCE_DIR}/cpp/simd/kernels.cpp)
  target_compile_definitions(rnnfast_${name} PRIVATE
    RNNFAST_ISA=${name} RNNFAST_VEC_HEADER="vec_${name}-inl.hpp" RNNFAST_VECTOR_BYTES=${vector_bytes})
  target_compile_options(rnnfast_${name} PRIVATE ${ARGN} -ffp-contract=off -fno-math-errno)
  # Nothing is thrown through a kernel: tables for unwinding would only be larger than some kernels.
  target_compile_options(rnnfast_${name} PRIVATE
    "$<$<CONFIG:Release>:-fno-exceptions;-fno-asynchronous-unwind-tables>")
  target_link_libraries(rnnfast_${name} PRIVATE rnnfast_options)
  target_link_libraries(rnnfast_core PRIVATE rnnfast_${name})
  target_sources(rnnfast_core PRIVATE $<TARGET_OBJECTS:rnnfast_${name}>)
endfunction()
