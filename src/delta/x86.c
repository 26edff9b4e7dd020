/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/x86.h"

/*
 * One letter for each opcode: . nothing follows, m ModRM, M ModRM and imm8, Z ModRM and imm16/32,
 * b imm8 (or rel8), z imm16/32, v imm16/32/64, w imm16, o an address of 8 bytes, e imm16 and imm8,
 * R rel32, f/F group 3, p prefix, X REX, E escape 0F, V VEX, W EVEX, x invalid. Of 32-bit code:
 * a an address of 4 bytes, s segment and address; V and W if both highest bits of what follows are
 * set, otherwise m.
 */
static const char one_byte[257] =
	"mmmmbzxx" "mmmmbzxE" "mmmmbzxx" "mmmmbzxx" "mmmmbzpx" "mmmmbzpx" "mmmmbzpx" "mmmmbzpx"
	"XXXXXXXX" "XXXXXXXX" "........" "........" "xxWmpppp" "zZbM...." "bbbbbbbb" "bbbbbbbb"
	"MZxMmmmm" "mmmmmmmm" "........" "..x....." "oooo...." "bz......" "bbbbbbbb" "vvvvvvvv"
	"MMw.VVMZ" "e.w..bx." "mmmmxxx." "mmmmmmmm" "bbbbbbbb" "RRxb...." "p.pp..fF" "......mm";

static const char one_byte_32[257] =
	"mmmmbz.." "mmmmbz.E" "mmmmbz.." "mmmmbz.." "mmmmbzp." "mmmmbzp." "mmmmbzp." "mmmmbzp."
	"........" "........" "........" "........" "..Wmpppp" "zZbM...." "bbbbbbbb" "bbbbbbbb"
	"MZMMmmmm" "mmmmmmmm" "........" "..s....." "aaaa...." "bz......" "bbbbbbbb" "zzzzzzzz"
	"MMw.VVMZ" "e.w..b.." "mmmmbb.." "mmmmmmmm" "bbbbbbbb" "RRsb...." "p.pp..fF" "......mm";

static const char two_byte[257] =
	"mmmmx..." "..x.xm.M" "mmmmmmmm" "mmmmmmmm" "mmmmxxxx" "mmmmmmmm" "......x." "mxMxxxxx"
	"mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "MMMMmmm." "mmxxmmmm"
	"RRRRRRRR" "RRRRRRRR" "mmmmmmmm" "mmmmmmmm" "...mMmxx" "...mMmmm" "mmmmmmmm" "mmMmmmmm"
	"mmMmMMMm" "........" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm";

struct x86_state {
	size_t at;
	unsigned operand16, address16, wide;
	bool is_32;
	char shape;
};

/* VEX and EVEX: the map is in the prefix; at points at the opcode afterwards. */
static void x86_decode_vex(const uint8_t *p, size_t len, struct x86_state *s)
{
	unsigned lead = p[s->at], prefix_bytes = lead == 0xc5 ? 2 : lead == 0xc4 ? 3 : 4, map = 1;
	uint8_t opcode;

	s->shape = 'x';
	if (len - s->at <= prefix_bytes)
		return;
	if (lead == 0xc4)
		map = p[s->at + 1] & 31;
	else if (lead == 0x62)
		map = p[s->at + 1] & 7;
	s->at += prefix_bytes;
	opcode = p[s->at];
	if (map == 1)
		s->shape = opcode == 0x77 ? '.' : two_byte[opcode] == 'M' ? 'M' : 'm';
	else if (map == 3)
		s->shape = 'M';
	else if (map == 2 || map == 5 || map == 6)
		s->shape = 'm';
}

/* Prefixes and opcode; at points at the opcode afterwards. */
static void x86_decode_opcode(const uint8_t *p, size_t len, struct x86_state *s)
{
	const char *opcodes = s->is_32 ? one_byte_32 : one_byte;

	s->shape = 'x';
	while (s->at < len && s->at < 14 && opcodes[p[s->at]] == 'p') {
		if (p[s->at] == 0x66)
			s->operand16 = 1;
		if (p[s->at] == 0x67)
			s->address16 = s->is_32;
		s->at++;
	}
	if (s->at < len && opcodes[p[s->at]] == 'X') {
		s->wide = p[s->at] & 8;
		s->at++;
	}
	if (s->at >= len)
		return;
	s->shape = opcodes[p[s->at]];
	if ((s->shape == 'V' || s->shape == 'W') && s->is_32 &&
	    (len - s->at < 2 || p[s->at + 1] < 0xc0)) {
		s->shape = 'm';
	} else if (s->shape == 'V' || s->shape == 'W') {
		x86_decode_vex(p, len, s);
	} else if (s->shape == 'E') {
		s->shape = 'x';
		if (++s->at >= len)
			return;
		s->shape = two_byte[p[s->at]];
		if (p[s->at] == 0x38 || p[s->at] == 0x3a) {
			if (++s->at >= len)
				s->shape = 'x';
		}
	} else if (s->shape == 'X' || s->shape == 'p') {
		s->shape = 'x';
	}
}

static unsigned x86_immediate(char shape, unsigned reg, const struct x86_state *s)
{
	unsigned word = s->operand16 && !s->wide ? 2 : 4;

	switch (shape) {
	case 'M':
	case 'b':
		return 1;
	case 'Z':
	case 'z':
		return word;
	case 'v':
		return s->wide ? 8 : word;
	case 'w':
		return 2;
	case 'o':
		return 8;
	case 'a':
		return s->address16 ? 2 : 4;
	case 's':
		return word + 2;
	case 'e':
		return 3;
	case 'R':
		return 4;
	case 'f':
		return reg < 2 ? 1 : 0;
	case 'F':
		return reg < 2 ? word : 0;
	default:
		return 0;
	}
}

/* Where the fields of an operand lie. */
struct x86_operand {
	unsigned reg;
	size_t field, displacement, modrm;
};

/* ModRM and what belongs to it; false if it is cut. */
static bool x86_decode_operand(const uint8_t *p, size_t len, struct x86_state *s,
			       struct x86_operand *ret)
{
	unsigned mod, rm;

	if (s->at >= len)
		return false;
	ret->modrm = s->at;
	mod = p[s->at] >> 6;
	ret->reg = p[s->at] >> 3 & 7;
	rm = p[s->at] & 7;
	s->at++;
	if (s->address16) {
		s->at += mod == 2 || (mod == 0 && rm == 6) ? 2 : mod == 1;
		return true;
	}
	if (mod != 3 && rm == 4) {
		if (s->at >= len)
			return false;
		if (mod == 0 && (p[s->at] & 7) == 5) {
			ret->displacement = s->at + 1;
			s->at += 4;
		}
		s->at++;
	} else if (mod == 0 && rm == 5) {
		if (s->is_32)
			ret->displacement = s->at;
		else
			ret->field = s->at;
		s->at += 4;
	}
	if (mod == 1) {
		s->at += 1;
	} else if (mod == 2) {
		ret->displacement = s->at;
		s->at += 4;
	}
	return true;
}

struct x86_instruction x86_decode(const uint8_t *p, size_t len, bool is_32)
{
	struct x86_instruction in = {.length = 1};
	struct x86_state s = {.shape = 'x', .is_32 = is_32};
	struct x86_operand o = {0};
	unsigned immediate;

	if (len > 15)
		len = 15;
	x86_decode_opcode(p, len, &s);
	if (s.shape == 'x')
		return in;
	in.opcode = (uint8_t)s.at++;
	if ((s.shape == 'm' || s.shape == 'M' || s.shape == 'Z' || s.shape == 'f' || s.shape == 'F') &&
	    !x86_decode_operand(p, len, &s, &o))
		return in;
	immediate = x86_immediate(s.shape, o.reg, &s);
	if (s.shape == 'R') {
		o.field = s.at;
		in.is_branch = 1;
	}
	if (s.shape == 'a' && immediate == 4)
		o.displacement = s.at;
	s.at += immediate;
	if (s.at > len)
		return in;
	in.length = (uint8_t)s.at;
	in.field = (uint8_t)o.field;
	in.displacement = (uint8_t)o.displacement;
	in.modrm = (uint8_t)o.modrm;
	if (immediate == 4 && s.shape != 'R' && s.shape != 'a')
		in.immediate = (uint8_t)(s.at - 4);
	if (o.field)
		in.tail = (uint8_t)(s.at - o.field - 4);
	return in;
}
