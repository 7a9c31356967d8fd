"""Which tests are slow, and in which order tests run; a plugin of tests/conftest.py."""

from __future__ import annotations

from typing import Any

import pytest

# These share what is slow to make (the cluster; the workflow that ran to its end and the server of
# commands, in tests/workflow/conftest.py), so one worker gets all files of a group.
CLUSTER = "tests/slurm/"
FINISHED = (
    "tests/workflow/test_end_to_end.py",
    "tests/workflow/test_logger_runs.py",
    "tests/workflow/test_shards.py",
    "tests/workflow/test_variants.py",
    "tests/workflow/test_own_data.py",
    "tests/workflow/test_cut_rules.py",
    "tests/workflow/test_data_stages.py",
)
# What takes longest goes first, or one worker would be left with it in the end.
FIRST = (
    CLUSTER,
    *FINISHED,
    "tests/training/test_resume.py",
    "tests/cli/test_loading.py",
    "tests/training/test_distributed.py",
    "tests/training/test_kills.py",
    # These three share their weights.
    "tests/parity/test_losses.py",
    "tests/parity/test_forward.py",
    "tests/parity/test_end_to_end.py",
)

# What takes more than about half a second of a processor: whole files, or single tests of them. A
# command or a subpackage keeps a quick test all the same.
SLOW = (
    "tests/api/test_load.py::test_a_published_file_with_running_means_or_a_prefix",
    "tests/api/test_load.py::test_largest_side_and_half_precision",
    "tests/api/test_load.py::test_what_an_import_says_is_logged",
    "tests/api/test_predictor.py::test_a_video_without_end_is_tracked_frame_by_frame",
    "tests/api/test_predictor.py::test_an_array_may_be_overwritten_by_its_maker",
    "tests/api/test_predictor.py::test_wherever_frames_come_from_the_objects_are_the_same",
    "tests/api/test_track_ends.py::test_the_command_can_be_stopped",
    "tests/benchmarks/test_benchmarks.py::test_a_benchmark_runs_and_its_ways_agree",
    "tests/benchmarks/test_benchmarks.py::test_a_step_beside_busy_processes_is_measured",
    "tests/benchmarks/test_benchmarks.py::test_every_switch_is_one_of_the_config_and_is_measured",
    "tests/benchmarks/test_benchmarks.py::test_the_plain_way_runs_alone",
    "tests/cli/test_cli.py::test_a_page_is_written_without_the_library_that_draws_plots",
    "tests/cli/test_full_disk.py",
    "tests/cli/test_help.py::test_completion",
    "tests/cli/test_help.py::test_completion_is_shown_and_installed",
    "tests/cli/test_loading.py",
    "tests/cli/test_run_options.py::test_a_checkpoint_says_how_it_predicts",
    "tests/cli/test_run_options.py::test_a_run_among_results_needs_no_other_option",
    "tests/cli/test_run_options.py::test_a_run_is_evaluated_as_its_config_says",
    "tests/cli/test_run_options.py::test_an_exported_checkpoint_of_a_run_predicts_the_same",
    "tests/cli/test_run_options.py::test_predictions_of_a_run_are_drawn_and_exported",
    "tests/cli/test_run_options.py::test_predictions_of_a_run_lack_no_mask_type_of_its_method",
    "tests/cli/test_run_options.py::test_own_annotations_are_not_looked_for",
    "tests/cli/test_track.py::test_a_run_folder_stands_for_its_best_checkpoint",
    "tests/cli/test_track.py::test_a_video_that_is_cut_off_is_kept_and_said",
    "tests/cli/test_track.py::test_quiet_says_nothing_but_what_is_odd",
    "tests/cli/test_track.py::test_results_are_kept",
    "tests/common/test_allocator.py::test_freed_memory_is_used_again",
    "tests/common/test_output_folders.py::test_a_scratch_folder_of_a_killed_process_is_removed_by_the_next",
    "tests/common/test_gpus.py::test_a_process_that_was_killed_holds_nothing",
    "tests/common/test_gpus.py::test_two_processes_that_claim_at_once_get_different_gpus",
    "tests/common/test_json_lists.py::test_items_are_those_of_json_and_can_be_read_again_by_their_offset",
    "tests/data/test_loading.py::test_a_loading_process_that_hangs",
    "tests/data/test_loading.py::test_a_program_that_forgets_its_iteration_ends_although_a_process_is_stopped",
    "tests/data/test_loading.py::test_a_signal_that_comes_while_one_hangs_is_obeyed",
    "tests/data/test_loading.py::test_a_signal_to_all_processes_takes_no_batch_away",
    "tests/data/test_loading.py::test_few_open_files_are_enough_and_too_few_are_said",
    "tests/data/test_loading.py::test_results_are_pinned_in_order",
    "tests/data/test_loading.py::test_the_size_of_dev_shm_does_not_matter",
    "tests/data/test_store.py::test_no_changed_bit_in_the_texts_of_a_packed_file_is_taken_for_the_truth",
    "tests/data/test_store.py::test_no_changed_bit_is_taken_for_the_truth",
    "tests/data/test_store_objects.py::test_objects_are_those_of_the_file",
    "tests/evaluation/io/test_shard_file.py::test_no_damage_changes_a_number",
    "tests/evaluation/mot/test_hota.py::test_silent_and_without_traces",
    "tests/evaluation/mot/test_measures.py::test_the_accumulator_goes_on_where_it_was_emptied",
    "tests/evaluation/test_evaluate_files.py::test_details",
    "tests/evaluation/test_evaluate_files.py::test_tracks_of_the_other_mask_type_are_refused",
    "tests/evaluation/test_shards.py::test_a_wrong_ground_truth_is_named_after_all_wrong_predictions",
    "tests/evaluation/test_shards.py::test_boxes_are_warned_of_once_for_all",
    "tests/evaluation/test_shards.py::test_each_shard_names_the_first_wrong_prediction_of_all",
    "tests/evaluation/test_shards.py::test_packed_files_and_plain_ones_are_the_same",
    "tests/experiments/test_log_failures.py::test_a_server_goes_and_comes_back",
    "tests/experiments/test_log_failures.py::test_no_failure_ends_or_holds_up_a_training",
    "tests/experiments/test_pages.py::test_saved_views_and_addresses",
    "tests/experiments/test_pages.py::test_the_links_then_the_server_without_telemetry_until_ctrl_c",
    "tests/experiments/test_pages.py::test_what_the_last_stages_make_is_sent",
    "tests/experiments/test_client.py::test_a_disk_that_fills_while_the_store_is_made",
    "tests/experiments/test_identity.py::test_a_moved_run_keeps_its_identity",
    "tests/experiments/test_identity.py::test_a_read_only_folder_is_sent_to_another_store",
    "tests/experiments/test_sync.py::test_a_store_that_was_deleted_is_filled_again",
    "tests/experiments/test_sync_together.py::test_another_writer_of_the_file_is_waited_for",
    "tests/experiments/test_sync.py::test_every_store_learns_how_a_training_ended",
    "tests/experiments/test_sync_together.py::test_killed_at_any_moment",
    "tests/experiments/test_identity.py::test_results_that_were_moved_keep_their_store",
    "tests/experiments/test_sync_together.py::test_runs_that_start_together_share_a_new_store",
    "tests/experiments/test_sync_together.py::test_two_processes_at_once",
    "tests/fuzz/test_fuzz.py",
    "tests/inference/test_predict.py::test_a_bad_frame_ends_all_processes",
    "tests/inference/test_predict.py::test_float32_changes_no_bit_and_bfloat16_stays_close",
    "tests/inference/test_predict.py::test_frames_in_batches_give_the_same_objects",
    "tests/inference/test_predict.py::test_a_killed_mask_worker_is_told_with_its_setting",
    "tests/inference/test_predict.py::test_neither_processes_nor_mask_workers_change_a_byte",
    "tests/inference/test_shards.py::test_no_clip_depends_on_the_batches_before_it",
    "tests/jobs/test_interrupt.py",
    "tests/jobs/test_launch.py",
    "tests/jobs/test_wait.py",
    "tests/models/test_losses.py::test_gradients_do_not_depend_on_how_python_hashes_texts",
    "tests/models/test_losses.py::test_multi_positive_cross_entropy_equals_the_published_form_where_that_is_finite",
    "tests/models/test_prepared.py::test_a_network_of_full_width_takes_winograds_form",
    "tests/models/test_winograd.py::test_a_network_keeps_its_tensors_and_its_losses",
    "tests/own_data/test_without_tracks.py::test_training_says_so_once_and_chooses_by_image_ap",
    "tests/packaging/test_dependencies.py::test_arrays_are_tracked_without_any_extra",
    "tests/parity/test_convert.py::test_real_counts",
    "tests/parity/test_end_to_end.py",
    "tests/parity/test_forward.py",
    "tests/parity/test_losses.py",
    "tests/parity/test_published_checkpoints.py::test_an_imported_checkpoint_computes_the_golden_numbers",
    "tests/parity/test_published_checkpoints.py::test_every_published_state_dict_is_imported",
    "tests/parity/test_published_cuts.py::test_the_clip_tree",
    "tests/reporting/page/test_report.py::test_eight_runs_and_hundreds_of_videos",
    "tests/reporting/tables/test_breakdown.py::test_columns_of_many_runs_are_parted_by_figure_for_a_page",
    "tests/reporting/tables/test_means.py::test_a_seed_counts_once_in_a_group",
    "tests/reporting/tables/test_means.py::test_runs_with_other_settings_are_another_group",
    "tests/reporting/test_overlay.py::test_the_number_of_clips_and_equal_files",
    "tests/reporting/test_plots.py::test_drawings_depend_on_the_numbers_alone",
    "tests/reporting/test_plots.py::test_nothing_is_said_where_home_cannot_be_written",
    "tests/sailvos/annotate/test_annotate.py::test_same_file_for_any_number_of_processes_and_packed",
    "tests/sailvos/archives/test_members.py::test_no_damage_ends_in_a_traceback",
    "tests/sailvos/test_convert.py::test_the_files_do_not_depend_on_how_the_work_is_cut_up",
    "tests/sailvos/test_cuts.py::test_published_names_follow_the_rule",
    "tests/synthetic/test_render.py::test_full_size",
    "tests/synthetic/test_render.py::test_same_seed_same_files",
    "tests/training/test_distributed.py",
    "tests/training/test_faults.py::test_lines_are_complete_where_the_last_batch_of_an_epoch_is_left_out",
    "tests/training/test_faults.py::test_rollback_undoes_what_led_to_the_fault",
    "tests/training/test_faults.py::test_skip_leaves_the_batch_out",
    "tests/training/test_faults.py::test_stop_names_the_images_and_saves_the_state_before",
    "tests/training/test_faults.py::test_the_number_of_faults_is_bounded",
    "tests/training/test_kills.py",
    "tests/training/test_loop.py",
    "tests/training/test_own_classes.py",
    "tests/training/test_resume.py",
    "tests/training/test_step.py::test_a_compiled_trunk_computes_the_same_and_keeps_its_names",
    "tests/training/test_step.py::test_a_continued_updater_makes_the_same_steps",
    "tests/training/test_step.py::test_a_scale_that_is_too_high_is_lowered_without_an_update",
    "tests/training/test_step.py::test_mixed_precision_gives_nearly_the_same_loss",
    "tests/training/test_step.py::test_steps_reduce_the_loss_of_a_fixed_batch",
    "tests/validate/test_masks.py::test_consistent_annotations_give_no_finding",
    "tests/weights/test_classes.py::test_foreign_checkpoints_of_other_classes_are_imported",
    "tests/weights/test_classes.py::test_initial_weights_keep_rows_of_named_classes",
    "tests/weights/test_damage.py::test_a_full_disk_ends_export_and_import_in_one_message",
    "tests/weights/test_export.py::test_an_exported_file_says_what_it_is_and_is_the_same_each_time",
    "tests/weights/test_found.py::test_a_prefix_of_compiled_names_is_a_key",
    "tests/weights/test_initial.py::test_weights_of_another_backbone_or_norm_are_refused",
    "tests/weights/test_networks.py::test_other_kinds_of_files_are_told_where_to_go",
    "tests/weights/test_openmmlab.py::test_a_backbone_alone_goes_into_the_backbone",
    "tests/weights/test_openmmlab.py::test_half_precision_views_and_safetensors_come_in_as_our_own",
    "tests/workflow/test_cut_rules.py",
    "tests/workflow/test_data_stages.py",
    "tests/workflow/test_end_to_end.py",
    "tests/workflow/test_logger.py::test_a_mistake_on_the_command_line_is_one_sentence",
    "tests/workflow/test_plan.py::test_a_user_without_a_name",
    "tests/workflow/test_plan.py::test_another_working_folder",
    "tests/workflow/test_plan.py::test_initial_weights_need_no_data",
    "tests/workflow/test_slurm_profile.py::test_the_slurm_profile_is_accepted",
    "tests/workflow/test_slurm_profile.py::test_the_slurm_profile_without_slurm_is_one_message",
    "tests/workflow/test_plan.py::test_weights_are_downloaded_only_when_asked_for",
    "tests/workflow/test_variants.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test = item.nodeid.split("[")[0]
        if test in SLOW or test.split("::")[0] in SLOW:
            item.add_marker(pytest.mark.slow)

    def place(item: pytest.Item) -> int:
        """The long groups, then what else is slow, then the rest, which fills the gaps."""
        for number, start in enumerate(FIRST):
            if item.nodeid.startswith(start):
                return number
        return len(FIRST) + (item.get_closest_marker("slow") is None)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How `pytest -n` shares tests out: a file stays together, because its tests share what is slow
    to make, and so do the groups above; a golden case is independent. (xdist's own marker for
    groups has no effect with pytest 9.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(CLUSTER):
                return CLUSTER
            if nodeid.startswith(FINISHED):
                return FINISHED[0]
            return nodeid if nodeid.startswith("tests/parity/") else nodeid.split("::")[0]

    config.option.loadscopereorder = False  # in the order of the collection, not by number of tests
    return Scheduling(config, log)
