import type { ReactNode } from "react";
import { Heading, Modal, ModalOverlay, Dialog as Window } from "react-aria-components";
import { Button } from "./Button";
import { Icon } from "./icons";

type Props = {
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at the end. */
  actions?: ReactNode;
  wide?: boolean;
  /** A dialog that something is destroyed by; it is read out at once. */
  alert?: boolean;
};

/** A window over the page. Escape closes it, and the focus returns to where it was. */
export function Dialog({ title, onClose, children, actions, wide, alert }: Props) {
  return (
    <ModalOverlay
      isOpen
      isDismissable={!alert}
      onOpenChange={(open) => !open && onClose()}
      data-pfa-sync=""
      data-window=""
      className="fixed inset-0 z-40 flex items-start justify-center overflow-y-auto bg-black/50! p-2 sm:p-8"
    >
      <Modal
        className={`w-full ${wide ? "max-w-5xl" : "max-w-xl"} rounded-lg border border-line bg-surface text-content shadow-2xl`}
      >
        <Window role={alert ? "alertdialog" : "dialog"} className="flex flex-col outline-none">
          <header className="flex items-center justify-between gap-4 border-b border-line px-4 py-2.5">
            <Heading slot="title" className="text-base font-semibold">
              {title}
            </Heading>
            <Button kind="quiet" aria-label="Close" onClick={onClose}>
              <Icon name="close" />
            </Button>
          </header>
          <div className="flex flex-col gap-3 px-4 py-3">{children}</div>
          {actions && (
            <footer className="flex flex-wrap justify-end gap-2 border-t border-line px-4 py-2.5">{actions}</footer>
          )}
        </Window>
      </Modal>
    </ModalOverlay>
  );
}
