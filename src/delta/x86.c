/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/x86.h"

/*
 * One letter for each opcode: . nothing follows, m ModRM, M ModRM and imm8, Z ModRM and imm16/32,
 * b imm8 (or rel8), z imm16/32, v imm16/32/64, w imm16, o an address of 8 bytes, e imm16 and imm8,
 * R rel32, f/F group 3, p prefix, X REX, E escape 0F, V VEX, W EVEX, x invalid.
 */
static const char one_byte[257] =
	"mmmmbzxx" "mmmmbzxE" "mmmmbzxx" "mmmmbzxx" "mmmmbzpx" "mmmmbzpx" "mmmmbzpx" "mmmmbzpx"
	"XXXXXXXX" "XXXXXXXX" "........" "........" "xxWmpppp" "zZbM...." "bbbbbbbb" "bbbbbbbb"
	"MZxMmmmm" "mmmmmmmm" "........" "..x....." "oooo...." "bz......" "bbbbbbbb" "vvvvvvvv"
	"MMw.VVMZ" "e.w..bx." "mmmmxxx." "mmmmmmmm" "bbbbbbbb" "RRxb...." "p.pp..fF" "......mm";

static const char two_byte[257] =
	"mmmmx..." "..x.xm.M" "mmmmmmmm" "mmmmmmmm" "mmmmxxxx" "mmmmmmmm" "......x." "mxMxxxxx"
	"mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "MMMMmmm." "mmxxmmmm"
	"RRRRRRRR" "RRRRRRRR" "mmmmmmmm" "mmmmmmmm" "...mMmxx" "...mMmmm" "mmmmmmmm" "mmMmmmmm"
	"mmMmMMMm" "........" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm" "mmmmmmmm";

struct x86_state {
	size_t at;
	unsigned operand16, wide;
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
	s->shape = 'x';
	while (s->at < len && s->at < 14 && one_byte[p[s->at]] == 'p') {
		if (p[s->at] == 0x66)
			s->operand16 = 1;
		s->at++;
	}
	if (s->at < len && one_byte[p[s->at]] == 'X') {
		s->wide = p[s->at] & 8;
		s->at++;
	}
	if (s->at >= len)
		return;
	s->shape = one_byte[p[s->at]];
	if (s->shape == 'V' || s->shape == 'W') {
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

struct x86_instruction x86_decode(const uint8_t *p, size_t len)
{
	struct x86_instruction in = {.length = 1};
	struct x86_state s = {.shape = 'x'};
	unsigned reg = 0, immediate;
	size_t field = 0, displacement = 0;

	if (len > 15)
		len = 15;
	x86_decode_opcode(p, len, &s);
	if (s.shape == 'x')
		return in;
	in.opcode = (uint8_t)s.at++;
	if (s.shape == 'm' || s.shape == 'M' || s.shape == 'Z' || s.shape == 'f' || s.shape == 'F') {
		unsigned mod, rm;

		if (s.at >= len)
			return in;
		mod = p[s.at] >> 6;
		reg = p[s.at] >> 3 & 7;
		rm = p[s.at] & 7;
		s.at++;
		if (mod != 3 && rm == 4) {
			if (s.at >= len)
				return in;
			if (mod == 0 && (p[s.at] & 7) == 5) {
				displacement = s.at + 1;
				s.at += 4;
			}
			s.at++;
		} else if (mod == 0 && rm == 5) {
			field = s.at;
			s.at += 4;
		}
		if (mod == 1) {
			s.at += 1;
		} else if (mod == 2) {
			displacement = s.at;
			s.at += 4;
		}
	}
	immediate = x86_immediate(s.shape, reg, &s);
	if (s.shape == 'R') {
		field = s.at;
		in.is_branch = 1;
	}
	s.at += immediate;
	if (s.at > len)
		return in;
	in.length = (uint8_t)s.at;
	in.field = (uint8_t)field;
	in.displacement = (uint8_t)displacement;
	if (immediate == 4 && s.shape != 'R')
		in.immediate = (uint8_t)(s.at - 4);
	if (field)
		in.tail = (uint8_t)(s.at - field - 4);
	return in;
}
