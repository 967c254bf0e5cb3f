// SPDX-License-Identifier: GPL-2.0

#include "textflag.h"

// func now() uint64
TEXT ·now(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET
