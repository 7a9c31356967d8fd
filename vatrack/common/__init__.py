"""What every room uses: errors, files, locks, signals, parallel work, progress, images, masks."""
