/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is to be encoded: two files, or two trees with their files paired. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/bsi-delta.h"
#include "delta/pair.h"

struct delta_job {
	struct delta_set set;
	struct tree *old, *new;
	const uint8_t *old_data, *new_data;
	size_t old_len, new_len;
	struct delta_input *references;
	struct delta_input_file *files;
	struct delta_input *news;
	struct pair *pairs;
	struct buffer meta;
};

void delta_job_free(struct delta_job *job)
{
	if (!job)
		return;
	tree_free(job->old);
	tree_free(job->new);
	unmap_file(job->old_data, job->old_len);
	unmap_file(job->new_data, job->new_len);
	free(job->references);
	free(job->files);
	free(job->news);
	free(job->pairs);
	buffer_done(&job->meta);
	free(job);
}

static size_t job_inputs(const struct tree *t, struct delta_input *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_entries; i++)
		if (S_ISREG(t->entries[i].mode))
			ret[n++] = (struct delta_input){t->entries[i].path, t->entries[i].data,
				t->entries[i].len};
	return n;
}

/* Only base files that are used become references. */
static int job_pair(struct delta_job *job)
{
	AUTO_FREE struct delta_input *olds = calloc(job->old->n_entries + 1, sizeof(*olds));
	AUTO_FREE uint32_t *index = calloc(job->old->n_entries + 1, sizeof(*index));
	size_t n_old, n_new;
	int r;

	job->news = calloc(job->new->n_entries + 1, sizeof(*job->news));
	job->pairs = calloc(job->new->n_entries + 1, sizeof(*job->pairs));
	job->files = calloc(job->new->n_entries + 1, sizeof(*job->files));
	job->references = calloc(job->old->n_entries + 1, sizeof(*job->references));
	if (!olds || !index || !job->news || !job->pairs || !job->files || !job->references)
		return -ENOMEM;
	n_old = job_inputs(job->old, olds);
	n_new = job_inputs(job->new, job->news);
	r = pair_files(olds, n_old, job->news, n_new, job->pairs);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_new; i++) {
		struct delta_input_file *f = &job->files[i];

		f->data = job->news[i].data;
		f->len = job->news[i].len;
		f->has_earlier = job->pairs[i].reason == PAIR_EARLIER;
		f->earlier = job->pairs[i].earlier;
		for (unsigned j = 0; j < job->pairs[i].n_old; j++) {
			size_t at = job->pairs[i].old[j];

			if (!index[at]) {
				job->references[job->set.n_references++] = olds[at];
				index[at] = (uint32_t)job->set.n_references;
			}
			f->references[f->n_references++] = index[at] - 1;
		}
	}
	job->set.n_files = n_new;
	return 0;
}

static int job_trees(struct delta_job *job, const char *old, const char *new, struct error *reterr)
{
	int r = tree_load(old, &job->old, reterr);

	if (r >= 0)
		r = tree_load(new, &job->new, reterr);
	if (r >= 0)
		r = job_pair(job);
	if (r < 0)
		return r;
	tree_format(job->new, &job->meta);
	job->set.meta = job->meta.data;
	job->set.meta_len = job->meta.len;
	return job->meta.err;
}

static int job_files(struct delta_job *job, const char *old, const char *new, struct error *reterr)
{
	int r = map_file(AT_FDCWD, old, &job->old_data, &job->old_len);

	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be read", old);
	r = map_file(AT_FDCWD, new, &job->new_data, &job->new_len);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be read", new);
	job->references = calloc(1, sizeof(*job->references));
	job->files = calloc(1, sizeof(*job->files));
	job->news = calloc(1, sizeof(*job->news));
	job->pairs = calloc(1, sizeof(*job->pairs));
	if (!job->references || !job->files || !job->news || !job->pairs)
		return -ENOMEM;
	job->references[0] = (struct delta_input){"", job->old_data, job->old_len};
	job->news[0] = (struct delta_input){new, job->new_data, job->new_len};
	job->pairs[0].reason = PAIR_PATH;
	job->files[0].data = job->new_data;
	job->files[0].len = job->new_len;
	job->files[0].n_references = 1;
	job->set.n_references = 1;
	job->set.n_files = 1;
	return 0;
}

int delta_job_new(const char *old, const char *new, struct delta_job **ret, struct error *reterr)
{
	AUTO(delta_job) struct delta_job *job = calloc(1, sizeof(*job));
	struct stat old_st, new_st;
	int r;

	if (!job)
		return -ENOMEM;
	job->meta = buffer_of(DELTA_META_BYTES_MAX);
	if (stat(old, &old_st) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", old);
	if (stat(new, &new_st) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", new);
	if (S_ISDIR(old_st.st_mode) != S_ISDIR(new_st.st_mode))
		return error_set(reterr, -BSI_E_USAGE,
			"\"%s\" and \"%s\" must both be files, or both directories", old, new);
	r = S_ISDIR(old_st.st_mode) ? job_trees(job, old, new, reterr) :
				      job_files(job, old, new, reterr);
	if (r < 0)
		return r;
	job->set.references = job->references;
	job->set.files = job->files;
	*ret = take_ptr(job);
	return 0;
}

const struct delta_set *delta_job_set(const struct delta_job *job)
{
	return &job->set;
}

const char *delta_job_path(const struct delta_job *job, size_t file)
{
	return job->news[file].path;
}

const char *delta_job_pairing(const struct delta_job *job, size_t file)
{
	return pair_reason_names[job->pairs[file].reason];
}
