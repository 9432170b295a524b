/** Lets a page open the navigation that the frame around it owns. */
import { createContext, use } from "react";

interface Navigation {
  openNavigation: () => void;
}

export const NavigationContext = createContext<Navigation>({ openNavigation: () => undefined });
export const useNavigation = () => use(NavigationContext);
